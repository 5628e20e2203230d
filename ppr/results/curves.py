"""Curves: a logged metric against the epoch or the step, one run's or the mean over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppr.commands import command_line
from ppr.config.settings import MACHINE_FIELDS
from ppr.errors import BadRequest, RunFailed, choices
from ppr.results.files import read_lines
from ppr.results.metrics import is_number
from ppr.results.select import config_values, named
from ppr.results.statistics import mean_interval
from ppr.results.tree import METRICS, Record, Scan

AXES = ("step", "epoch")
LABEL_PARTS = 2
"""Variants that differ in more config keys than this are labelled by their id."""

_NOT_SCIENCE = ("seed", "experiment", "scale", "data.root", "results.", "tracker", "launcher",
                "sweeper", *(f"engine.{name}" for name in MACHINE_FIELDS))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Runs drawn as one curve: the seeds of a variant, or a single run."""

    label: str
    logs: list[list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Curve:
    """`y` and, with several seeds, the half-width of its 95 % interval; NaN where not finite."""

    index: int
    """The place of its runs among those asked for: one colour in every panel."""
    label: str
    x: list[float]
    y: list[float]
    half_width: list[float] | None
    n: int
    style: Literal["band", "line", "points"] = "band"
    """A line with its interval as a band; a line alone; or points with their intervals as bars."""


def groups(scan: Scan, words: Sequence[str]) -> list[Group]:
    """The curves' runs: a word is a run directory, an experiment or the start of a variant id.

    Of a variant with finished runs, only those are taken.

    Raises:
        BadRequest: no such run.
        RunFailed: a log cannot be read.
    """
    singles: list[Path] = []
    by_variant: dict[tuple[str, str], dict[int, Record]] = {}
    for word in words:
        if (Path(word) / METRICS).is_file():
            singles.append(Path(word))
            continue
        records = named(scan.records, word)
        live = [record for record in records if record.path is not None]
        if not live:
            name = records[0].experiment
            run = command_line("run", f"experiment={name}")
            values = command_line("results", "published=true", f"experiment={name}")
            raise BadRequest(
                f"{word}: its runs are published ones, which keep no curves; `{run}` makes one that"
                f" does, `{values}` shows their values, `ppr plot PAPER/TABLE` draws a table"
            )
        for record in live:
            by_variant.setdefault((record.experiment, record.variant), {})[record.seed] = record
    logged = {key: _with_log(list(seeds.values())) for key, seeds in by_variant.items()}
    variants = [runs for runs in logged.values() if runs]
    labels = _labels([runs[0] for runs in variants])
    found = [Group(_path_label(path), [read_lines(path / METRICS)]) for path in singles]
    for label, runs in zip(labels, variants, strict=True):
        paths = [record.path for record in runs if record.path is not None]
        found.append(Group(label, [read_lines(path / METRICS) for path in paths]))
    if not found:
        raise BadRequest(f"{' '.join(words)}: no {METRICS} yet")
    return found


def _with_log(runs: Sequence[Record]) -> list[Record]:
    finished = [record for record in runs if record.state == "finished"]
    return [r for r in finished or runs if r.path is not None and (r.path / METRICS).is_file()]


def _path_label(path: Path) -> str:
    return "/".join(path.resolve().parts[-3:])


def _labels(variants: Sequence[Record]) -> list[str]:
    """Each variant by its experiment and, where that has several, by what differs among them."""
    labels = []
    for record in variants:
        siblings = [other for other in variants if other.experiment == record.experiment]
        differing = differing_keys(siblings)
        parts = [record.experiment]
        if 0 < len(differing) <= LABEL_PARTS:
            own = config_values(record)
            parts += [f"{key}={own.get(key)}" for key in differing]
        elif len(siblings) > 1:
            parts.append(record.variant)
        labels.append(" ".join(parts))
    return labels


def differing_keys(variants: Sequence[Record]) -> list[str]:
    """The config keys that can change the numbers, less the seed, in which variants differ.

    None where a config is unreadable: a label is not worth failing for.
    """
    try:
        configs = [config_values(record) for record in variants]
    except RunFailed:
        return []
    keys = dict.fromkeys(
        key for config in configs for key in config if not key.startswith(_NOT_SCIENCE)
    )
    return [key for key in keys if len({repr(config.get(key)) for config in configs}) > 1]


def metric_names(found: Sequence[Group]) -> list[str]:
    """Every metric that some run has logged."""
    names = dict.fromkeys(
        name for group in found for log in group.logs for record in log for name in record
    )
    return [name for name in names if name not in AXES]


def default_metrics(found: Sequence[Group]) -> list[str]:
    """The training loss and the first validation metric, else the first two there are."""
    names = metric_names(found)
    validation = [name for name in names if name.startswith("validation/")]
    main = [name for name in ("train/loss",) if name in names] + validation[:1]
    return main or names[:2]


def curves(found: Sequence[Group], metric: str) -> tuple[str, list[Curve]]:
    """The x axis, "epoch" where every record has it, else "step", and a curve a group.

    Raises:
        BadRequest: no run has logged the metric.
    """
    records = [
        record for group in found for log in group.logs for record in log if metric in record
    ]
    if not records:
        raise BadRequest(f"--metric {metric}: not logged; {choices(metric, metric_names(found))}")
    axis = "epoch" if all("epoch" in record for record in records) else "step"
    drawn = (_curve(index, group, metric, axis) for index, group in enumerate(found))
    return axis, [curve for curve in drawn if curve is not None]


def _curve(index: int, group: Group, metric: str, axis: str) -> Curve | None:
    seeds = [
        {r[axis]: r[metric] for r in log if metric in r and is_number(r.get(axis))}
        for log in group.logs
    ]
    seeds = [seed for seed in seeds if seed]
    if not seeds:
        return None
    # Only where every seed has a value: a mean over fewer seeds would jump.
    shared = sorted(set[float].intersection(*map(set, seeds)))
    y, half_width = [], []
    for at in shared:
        mean, half = _mean([seed[at] for seed in seeds])
        y.append(mean)
        half_width.append(half)
    n = len(seeds)
    return Curve(index, group.label, shared, y, half_width if n > 1 else None, n)


def _mean(values: Sequence[float | None]) -> tuple[float, float]:
    numbers = [value for value in values if value is not None and is_number(value)]
    if len(numbers) < len(values):  # null in the log: it was not finite
        return math.nan, math.nan
    interval = mean_interval(numbers)
    return interval.mean, interval.half_width or 0.0
