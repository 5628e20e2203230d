"""Looks at a table's seeds that it declares beforehand, and what each does to a verdict.

A table with `looks: [5, 10, 20]` is judged on seeds 0 to 4, then, where that leaves a claim open,
on 0 to 9, then on all 20, each time that every cell of the claim has them. The level is spent in
equal parts (Bonferroni): with K looks the p-value of each counts K-fold, and the smallest so far is
the claim's. That holds whatever the test, the distribution of t at few seeds and the spacing of the
looks; Pocock's and O'Brien and Fleming's bounds spend less, and rest on normal sums of known
variance. The first look that decides stands: as seeds are numbered, it can be recomputed from the
runs at any time, and later seeds cannot turn it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ppr.papers.cells import Filled
from ppr.results.metrics import metrics

Group = tuple[Filled, ...]


@dataclass(frozen=True)
class Look:
    """A claim's p-values at one look: of all looks so far, over the claims of its table."""

    seeds: int
    p_for: float
    p_against: float


def looks(groups: Sequence[Group]) -> int:
    """How many looks the tables of a claim's cells declare: one where they declare none."""
    return max(len(filled.cell.table.plan) for group in groups for filled in group)


def at_look(groups: Sequence[Group], number: int) -> list[Group] | None:
    """The cells with the seeds of a look (from 0) alone; None where one of them lacks some."""
    cut = [tuple(_cut(filled, number) for filled in group) for group in groups]
    if all(filled is not None for group in cut for filled in group):
        return cut  # type: ignore[return-value]
    return None


def _cut(filled: Filled, number: int) -> Filled | None:
    seeds = filled.cell.table.look(number)
    return None if filled.lacks(seeds) else filled.first(seeds)


def wanting(groups: Sequence[Group]) -> str:
    """The cells that have fewer seeds than the first look takes."""
    short = {
        filled.cell.place: f"{len(filled.samples)} of {filled.cell.table.plan[0]} seeds"
        for group in groups
        for filled in group
        if filled.lacks(filled.cell.table.plan[0])
    }
    return ", ".join(f"{place}: {have}" for place, have in short.items())


def price(cells: Iterable[Filled], seeds: int) -> str:
    """`20 more runs, about 3 min`: what so many seeds a cell cost, by the runs there are."""
    variants = {(filled.experiment, filled.variant): filled for filled in cells}
    missing = {key: len(filled.lacks(seeds)) for key, filled in variants.items()}
    runs = sum(missing.values())
    told = f"{runs} more {'run' if runs == 1 else 'runs'}"
    seconds = {key: _seconds(filled) for key, filled in variants.items() if missing[key]}
    known = [each for each in seconds.values() if each is not None]
    if not known:
        return told
    mean = statistics.fmean(known)
    total = sum(missing[key] * (each or mean) for key, each in seconds.items())
    return f"{told}, about {duration(total)}"


def _seconds(filled: Filled) -> float | None:
    spent = [metrics(record.summary).get("cost/seconds") for record in filled.records]
    return statistics.fmean(found) if (found := [s for s in spent if s is not None]) else None


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
