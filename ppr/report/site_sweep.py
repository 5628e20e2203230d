"""Sweeps: variants of one experiment that differ in a single field, found without being declared.

Of the finished runs of an experiment, those variants whose configs agree in all that can change the
numbers except one numeric field make a line: the metric against that field.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppr.config.settings import MACHINE_FIELDS
from ppr.errors import RunFailed
from ppr.report.plot import Panel
from ppr.results.curves import Curve
from ppr.results.metrics import is_number, metrics
from ppr.results.select import config_values
from ppr.results.statistics import Interval, mean_interval
from ppr.results.tree import Record

MOST_LINES = 8
_NOT_SCIENCE = ("seed", "experiment", "scale", "data.root", "results.", "tracker", "launcher",
                "sweeper", *(f"engine.{name}" for name in MACHINE_FIELDS))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sweep:
    """One field's plot. `points`: (line's label, value, interval, variant), for the table below."""

    field: str
    panel: Panel
    points: tuple[tuple[str, float, Interval, str], ...]
    lines_left_out: int


@dataclass(frozen=True, slots=True)
class _Variant:
    name: str
    config: Mapping[str, Any]
    interval: Interval


class Sweeps:
    """The finished runs by experiment; each variant's config is read once for all pages."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records: dict[str, list[Record]] = {}
        self._configs: dict[tuple[str, str], dict[str, Any]] = {}
        self._compared: dict[tuple[str, str, str, float], tuple[list[_Variant], list[str]]] = {}
        for record in records:
            if record.state == "finished":
                self._records.setdefault(record.experiment, []).append(record)

    def find(
        self, experiment: str, scale: str, metric: str, factor: float, rows: Mapping[str, str]
    ) -> list[Sweep]:
        """An experiment's sweeps at one scale; `rows`: variant -> what a table calls it."""
        asked = experiment, scale, metric, factor
        if asked not in self._compared:  # several papers may share one experiment
            variants = self._variants(*asked)
            self._compared[asked] = variants, _varying(variants)
        variants, varying = self._compared[asked]
        found = (_sweep(key, varying, variants, metric, rows) for key in varying)
        return [sweep for sweep in found if sweep]

    def _variants(self, experiment: str, scale: str, metric: str, factor: float) -> list[_Variant]:
        samples: dict[str, dict[int, float]] = {}
        first: dict[str, Record] = {}
        for record in self._records.get(experiment, []):
            known = metrics(record.summary)
            if metric in known and record.summary.get("scale") == scale:
                samples.setdefault(record.variant, {})[record.seed] = known[metric] * factor
                first.setdefault(record.variant, record)
        if len(samples) < 2:
            return []
        return [
            _Variant(name, config, mean_interval(values.values()))
            for name, values in samples.items()
            if (config := self._config(first[name]))
        ]

    def _config(self, record: Record) -> dict[str, Any]:
        """What can change the numbers, by dotted key; empty where it cannot be read."""
        key = record.experiment, record.variant
        if key not in self._configs:
            try:
                values = config_values(record)
            except RunFailed:  # told by `ppr verify`; a plot can do without it
                values = {}
            science = {k: v for k, v in values.items() if not k.startswith(_NOT_SCIENCE)}
            self._configs[key] = science
        return self._configs[key]


def _varying(variants: Sequence[_Variant]) -> list[str]:
    keys = dict.fromkeys(key for variant in variants for key in variant.config)
    return [key for key in keys if len({repr(v.config.get(key)) for v in variants}) > 1]


def _sweep(
    key: str,
    varying: Sequence[str],
    variants: Sequence[_Variant],
    metric: str,
    rows: Mapping[str, str],
) -> Sweep | None:
    others = [other for other in varying if other != key]
    groups: dict[tuple[str, ...], list[_Variant]] = {}
    for variant in variants:
        value = variant.config.get(key, math.nan)
        if is_number(value) and math.isfinite(value):
            rest = tuple(repr(variant.config.get(other)) for other in others)
            groups.setdefault(rest, []).append(variant)
    lines = [
        sorted(group, key=lambda variant: variant.config[key])
        for group in groups.values()
        if len(group) > 1
    ]
    if not lines:
        return None
    curves, points = [], []
    for index, line in enumerate(lines[:MOST_LINES]):
        label = _label(line, others, rows)
        curves.append(_curve(index, label, key, line))
        points += [(label, v.config[key], v.interval, v.name) for v in line]
    panel = Panel(metric, key, curves)
    return Sweep(key, panel, tuple(points), max(0, len(lines) - MOST_LINES))


def _curve(index: int, label: str, key: str, line: Sequence[_Variant]) -> Curve:
    halves = [math.nan if v.interval.half_width is None else v.interval.half_width for v in line]
    x = [float(variant.config[key]) for variant in line]
    fewest = min(variant.interval.n for variant in line)
    return Curve(index, label, x, [variant.interval.mean for variant in line], halves, fewest)


def _label(line: Sequence[_Variant], others: Sequence[str], rows: Mapping[str, str]) -> str:
    """A line by its row of the table, else by the other fields that vary, else by a variant."""
    named = {rows.get(variant.name) for variant in line}
    if len(named) == 1 and None not in named:
        return str(named.pop())
    if 0 < len(others) <= 2:
        return ", ".join(f"{other}={line[0].config.get(other)}" for other in others)
    return f"variant {line[0].name} and the like" if others else "mean over seeds"
