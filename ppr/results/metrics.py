"""The metrics of a summary, by path.

linear/top1              after the last epoch, on the test split
untrained/linear/top1    the same evaluator on the untrained encoder
best/linear/top1         of the epoch chosen on the validation split
validation/linear/top1   the metric by which that epoch was chosen, as it was then
cost/seconds             what the run took
"""

from __future__ import annotations

import math
import reprlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ppr.errors import BadRequest, choices


def flatten(value: Mapping[str, Any], separator: str, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, the keys joined."""
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            flat |= flatten(inner, separator, f"{prefix}{key}{separator}")
        else:
            flat[f"{prefix}{key}"] = inner
    return flat


def measured(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the evaluators said, by path, as it stands in the summary."""
    best = summary.get("best") or {}
    return (
        flatten(summary.get("metrics") or {}, "/")
        | flatten(summary.get("untrained") or {}, "/", "untrained/")
        | flatten(best.get("metrics") or {}, "/", "best/")
        | ({best["chosen_by"]: best["value"]} if {"chosen_by", "value"} <= best.keys() else {})
    )


def quantity(path: str) -> str:
    """A metric without where it was taken: an untrained encoder's accuracy is one too."""
    for origin in ("untrained/", "best/", "validation/"):
        path = path.removeprefix(origin)
    return path


def monitored(summary: Mapping[str, Any]) -> str:
    """The metric on the validation split that a run was watched by; empty of one that was not."""
    return str((summary.get("best") or {}).get("chosen_by", ""))


def metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """Every finite number of a summary that can be asked for, by path."""
    found = measured(summary) | flatten(summary.get("cost") or {}, "/", "cost/")
    return {path: v for path, v in found.items() if is_number(v) and math.isfinite(v)}


def after_last_epoch(summary: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that a run is first of all known by, by path: of the last epoch, on test."""
    aside = ("untrained/", "best/", "validation/", "cost/")
    return {path: v for path, v in metrics(summary).items() if not path.startswith(aside)}


def value(summary: Mapping[str, Any], path: str) -> float:
    """One metric.

    Raises:
        BadRequest: the summary has none of that path; names those that it has.
    """
    known = metrics(summary)
    if path not in known:
        raise BadRequest(f"no metric {path!r}: {choices(path, known)}")
    return known[path]


_LOWER = {"ece", "nll", "error", "loss", "mse", "mae", "rmse", "brier", "crps", "perplexity"}


def lower_is_better(path: str) -> bool:
    """Whether a metric is an error or a loss, by the words of its name: `calibration/ece`."""
    return not _LOWER.isdisjoint(path.rpartition("/")[2].lower().split("_"))


def is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold, infinite and NaN among them."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def faults(summary: Mapping[str, Any]) -> Iterator[str]:
    """Measured values that must not enter an average."""
    for path, value in measured(summary).items():
        if not is_number(value):
            yield f"metric {path} is {reprlib.repr(value)}, not a number"
        elif not math.isfinite(value):
            yield f"metric {path} is {value}"
