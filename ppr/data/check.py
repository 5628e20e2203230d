"""Is a data set on this machine the published one? Hashes, rows, labels, channel statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ppr.data import hub
from ppr.data.source import ArraySource, Source
from ppr.errors import RunFailed

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 1e-3
"""Published channel statistics have four digits; a lossy copy of the images moves the last one."""


@dataclass(frozen=True)
class Finding:
    name: str
    check: str
    result: Literal["ok", "failed", "not checked"]
    detail: str


def check(source: Source, place: hub.Place) -> Iterator[Finding]:
    """Each check of the data set at `place`; decodes all of it, past the cache."""
    name = source.card.name
    try:
        if place.files and not source.card.digests:  # which say more, and do not hang on a writer
            yield _hashes(name, place)
        if not isinstance(source, ArraySource):
            yield _loaded(source)
            return
        arrays = source.read()
    except RunFailed as error:
        yield Finding(name, "files", "failed", str(error))
        return
    for split, (inputs, targets) in arrays.items():
        yield _labels(source, split, targets)
        yield _shape(source, split, inputs)
    if source.card.mean:
        yield _statistics(source, arrays["train"][0])


def _loaded(source: Source) -> Finding:
    """A data set that is drawn, or has more to a sample than a class: that it can be had."""
    data = source.load()
    if source.card.digests:
        rows = ", ".join(f"{count:,} {table}" for table, count in source.card.rows.items())
        return Finding(source.card.name, "content", "ok", f"{rows}: as published")
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    detail = ", ".join(f"{len(part)} {name}" for name, part in parts.items() if part)
    return Finding(source.card.name, "splits", "ok", detail)


def _hashes(name: str, place: hub.Place) -> Finding:
    agreed = hub.verify(place)
    if agreed:
        return Finding(name, "sha256", "ok", f"{agreed} files as in {hub.MANIFEST}")
    how = f"find . -name '*.parquet' -exec sha256sum {{}} + > {hub.MANIFEST}"
    detail = f"no {hub.MANIFEST}; to note the present files: cd {place.folder} && {how}"
    return Finding(name, "sha256", "not checked", detail)


def _labels(source: ArraySource, split: str, targets: np.ndarray) -> Finding:
    import numpy as np

    card = source.card
    counts = np.bincount(targets, minlength=len(card.classes))
    detail = f"{len(targets)} rows, {len(counts)} classes of {counts.min()} to {counts.max()}"
    good = len(targets) == card.rows[split] and len(counts) == len(card.classes)
    if card.balanced:
        good = good and counts.min() == counts.max()
        detail += "" if good else f" where {card.rows[split] // len(card.classes)} are published"
    return Finding(card.name, f"{split} labels", "ok" if good else "failed", detail)


def _shape(source: ArraySource, split: str, inputs: np.ndarray) -> Finding:
    good = inputs.shape[1:] == source.card.shape
    detail = f"{inputs.dtype} {' x '.join(map(str, inputs.shape))}"
    return Finding(source.card.name, f"{split} inputs", "ok" if good else "failed", detail)


def _statistics(source: ArraySource, images: np.ndarray) -> Finding:
    import torch

    from ppr.data.dataset import channel_statistics

    card = source.card
    mean, std = channel_statistics(torch.from_numpy(images))
    found, published = (*mean, *std), (*card.mean, *card.std)
    off = max(abs(a - b) for a, b in zip(found, published, strict=True))
    shown = " ".join(f"{value:.4f}" for value in found)
    detail = f"mean, std {shown}; off the published by {off:.4f} at most"
    good = off <= TOLERANCE
    return Finding(card.name, "statistics", "ok" if good else "failed", detail)
