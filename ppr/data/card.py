"""The static facts of a data set: what is known of it without its data, torch or a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Original:
    """A file as its publisher has it."""

    url: str
    sha256: str


@dataclass(frozen=True)
class Card:
    """One data set, as published.

    `shape` is one input's shape, (C, H, W) for images; `rows` the examples of each published split;
    `files` the Parquet files of each split, as a glob inside the data set's folder on the hub
    ("plain_text/train-*.parquet": configuration `plain_text`, split `train`); `columns` the names
    of the columns that hold the `input` and the `target`. `mean` and `std` are a channel's over
    the published training split, in fractions of 1. `balanced`: every class has equally many rows.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    rows: Mapping[str, int]
    source: str
    licence: str
    hub: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    balanced: bool = False
    digests: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, Original] = field(default_factory=dict)
    unpack: Callable[[Path, Mapping[str, Path]], None] | None = None
