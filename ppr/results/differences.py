"""What tells the variants of an experiment apart: the keys of their configs that differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppr.config.identity import complete, is_science
from ppr.errors import RunFailed
from ppr.results.metrics import flatten
from ppr.results.tree import Record

Variant = tuple[str, str]
"""An experiment and a variant of it."""


def of(record: Record) -> Variant:
    return record.experiment, record.variant


def sciences(records: Iterable[Record]) -> dict[Variant, dict[str, Any]]:
    """Of each variant all that can change its numbers, by dotted key, defaults filled in.

    A component is named by its kind alone: `loss` is `supcon`. One that was killed before its
    config was written, or cannot be read, has none.
    """
    found: dict[Variant, dict[str, Any]] = {}
    for record in records:
        if not found.get(of(record)):
            found[of(record)] = _science(record)
    return found


def _science(record: Record) -> dict[str, Any]:
    try:
        config = record.config()
    except RunFailed:
        return {}
    flat = flatten(complete(config), ".") if config else {}
    return {key.removesuffix(".name"): v for key, v in flat.items() if is_science(key)}


def is_synthetic(science: Mapping[str, Any]) -> bool:
    """Whether the numbers come of random data, and so mean nothing."""
    return science.get("data.synthetic") is not None and science.get("dataset") is not None


def differing(found: Mapping[Variant, Mapping[str, Any]]) -> list[str]:
    """The keys that take several values within an experiment, those of most values first.

    A field that only one of two losses has is no difference beside that of the losses. Variants on
    random data are told apart by that.
    """
    values: dict[tuple[str, str], set[str]] = {}
    for (experiment, _), science in found.items():
        if not is_synthetic(science):
            for key, value in science.items():
                values.setdefault((key, experiment), set()).add(repr(value))
    most: dict[str, int] = {}
    for (key, _), seen in values.items():
        if len(seen) > 1 and key != "data.synthetic":
            most[key] = max(most.get(key, 0), len(seen))
    return sorted(most, key=lambda key: -most[key])
