"""A recorded run done again, and held against its own record.

On the processor, instruction set, threads and versions of the record it must give the same bits.
Elsewhere sums are in another order, and what a run makes of that depends on the run. Seen when one
run of each of 23 papers was done again on another processor, with AVX-512, AVX2 and SSE in turn (69
runs, 441 values): 298 values the same bits; every other one within

    rounding   1e-5 of the value, or 1e-12, or a tenth of the spread of its seeds; or else
    chaos      4 spreads (3.9 seen), where training took another path: then it has moved the run's
               other quantities too, by a twentieth of as many of their spreads at least

The spread is the standard deviation over the variant's other seeds: a record does not widen what it
is held against. A value outside has been made by other means than by its run, or its code is not
what it was; a forged one that moves as all others do is found on its own processor alone.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ppr.config.compose import recorded
from ppr.config.places import run_path
from ppr.config.schema import check_config
from ppr.papers.doubts import ABSOLUTE, MOST_SPREADS, RELATIVE
from ppr.papers.records import label
from ppr.results.metrics import measured, quantity
from ppr.results.tree import Record, scan

OF_SPREAD, OF_OTHERS = 0.1, 20.0

Fall = Literal["identical", "within", "outside"]

_MACHINE = ("processor", "instructions", "device", "python", "packages")
"""What of a run's environment decides its bits."""


def sample(records: Sequence[Record], number: int, seed: int) -> list[Record]:
    """A random choice that the seed repeats."""
    return random.Random(seed).sample(list(records), min(number, len(records)))


def rerun(record: Record, root: Path) -> Record:
    """Do a recorded run again, in a results tree of its own."""
    from ppr.launchers.execute import execute

    values = check_config(record.config())
    values |= {"results": {"root": str(root)}, "tracker": None, "launcher": None}
    config = recorded(values)
    execute(config)
    path = run_path(root, config.experiment, config.variant, config.seed)
    return next(found for found in scan(root).records if found.path == path)


@dataclass(frozen=True)
class Comparison:
    """One metric of a run done again, against its own record."""

    run: str
    metric: str
    recorded: float
    again: float
    allowed: float
    """How far it may be off: 0 on the machine and versions that it was recorded with."""

    @property
    def fall(self) -> Fall:
        if self.again == self.recorded:
            return "identical"
        return "within" if abs(self.again - self.recorded) <= self.allowed else "outside"


def same_machine(record: Record, again: Record) -> bool:
    """Whether two runs are to give the same bits; of one that names no processor it is unknown."""
    then, now = record.environment(), again.environment()
    return "processor" in then and all(then.get(key) == now.get(key) for key in _MACHINE)


def compare(pairs: Iterable[tuple[Record, Record]], beside: Iterable[Record]) -> list[Comparison]:
    """Each run done again against its record, on all that its evaluators measured.

    `beside`: sound records, among them those of the same variants' other seeds.
    """
    seeds: dict[tuple[str, str], list[Record]] = {}
    for record in beside:
        seeds.setdefault((record.experiment, record.variant), []).append(record)
    found = []
    for record, again in pairs:
        others = [
            r for r in seeds.get((record.experiment, record.variant), ()) if r.seed != record.seed
        ]
        before, now = measured(record.summary), measured(again.summary)
        now = {metric: now.get(metric, math.nan) for metric in before}
        exact = same_machine(record, again)
        allowed = dict.fromkeys(before, 0.0) if exact else _allowed(before, now, others)
        found += [
            Comparison(label(record), metric, before[metric], now[metric], allowed[metric])
            for metric in before
        ]
    return found


def _allowed(
    before: Mapping[str, float], now: Mapping[str, float], others: Sequence[Record]
) -> dict[str, float]:
    """How far each value may be off on another machine."""
    spreads = {metric: _spread(metric, others) for metric in before}
    moved: dict[str, float] = {}
    for metric, spread in spreads.items():
        if spread > ABSOLUTE and not metric.startswith("untrained/"):
            what = quantity(metric)
            away = abs(now[metric] - before[metric]) / spread
            moved[what] = max(moved.get(what, 0.0), away)
    found = {}
    for metric, spread in spreads.items():
        rest = [away for other, away in moved.items() if other != quantity(metric)]
        path = OF_OTHERS * max(rest) if rest else MOST_SPREADS
        rounding = max(RELATIVE * abs(before[metric]), ABSOLUTE)
        found[metric] = max(rounding, spread * min(MOST_SPREADS, max(OF_SPREAD, path)))
    return found


def _spread(metric: str, others: Sequence[Record]) -> float:
    values = [found[metric] for r in others if metric in (found := measured(r.summary))]
    return statistics.stdev(values) if len(values) > 1 else 0.0
