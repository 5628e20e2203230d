"""Is what a paper's tables show still what its records say, and what its runs give?

A run that is done again should give the same bits on the same machine. On another, it should fall
among the other seeds: a further draw x of the normal population that n seeds were drawn from has
x - mean of variance s^2 (1 + 1/n), so

    |x - mean| <= t(1 - level/2, n - 1) * s * sqrt(1 + 1/n)

with probability 1 - level. `level` is 5 % over all the values that are compared, divided among them
(Bonferroni), so that an honest set of re-runs is called off in one case of twenty at most.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppr.config.compose import Config
from ppr.config.inputs import needed
from ppr.config.schema import check_config
from ppr.papers.cells import Filled
from ppr.papers.records import faults, label
from ppr.results.metrics import measured
from ppr.results.statistics import t_quantile
from ppr.results.tree import Problem, Record, Scan

LEVEL = 0.05

Fall = Literal["identical", "within", "outside", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """One metric of a run done again, against its record and the seeds beside it."""

    run: str
    metric: str
    recorded: float
    again: float
    low: float | None
    high: float | None

    @property
    def fall(self) -> Fall:
        if self.again == self.recorded:
            return "identical"
        if self.low is None or self.high is None:
            return "undecided"
        return "within" if self.low <= self.again <= self.high else "outside"


def sound(scan: Scan, wanted: Iterable[tuple[str, str]]) -> tuple[Scan, list[str]]:
    """The runs of some variants whose records verify, and what is wrong with the others."""
    variants = set(wanted)
    good, wrong = [], []
    for record in scan.records:
        if (record.experiment, record.variant) not in variants or record.state != "finished":
            continue
        found = [f"{label(record)}: {fault}" for fault in faults(record)]
        wrong += found
        if not found:
            good.append(record)
    wrong += [str(problem) for problem in scan.problems if _concerns(problem, variants)]
    return Scan(good, []), wrong


def _concerns(problem: Problem, variants: set[tuple[str, str]]) -> bool:
    """A published file's problem may be of any paper's run, so it always counts."""
    variant = problem.path.parent
    return problem.path.suffix == ".jsonl" or (variant.parent.name, variant.name) in variants


def changed(before: Sequence[Filled], after: Sequence[Filled]) -> list[str]:
    """The cells that would show something else from sound records alone."""
    return [
        f"{one.cell.place}: shows {one.interval}, its records {other.interval or 'nothing'}"
        for one, other in zip(before, after, strict=True)
        if one.samples != other.samples
    ]


def sample(records: Sequence[Record], number: int, seed: int) -> list[Record]:
    """A random choice that the seed repeats."""
    return random.Random(seed).sample(list(records), min(number, len(records)))


def rerun(record: Record, root: Path) -> Mapping[str, Any]:
    """Do a recorded run again, in a results tree of its own; its summary."""
    from ppr.run import execute

    values = check_config(record.config())
    values |= {"results": {"root": str(root)}, "tracker": None, "launcher": None}
    config = Config(values, (), ())
    for each in needed(config):
        execute(each)
    return execute(config)


def compare(
    pairs: Sequence[tuple[Record, Mapping[str, Any]]],
    metrics: Mapping[tuple[str, str], Iterable[str]],
    scan: Scan,
) -> list[Comparison]:
    """Each run done again against its record, on the metrics that the cells show of its variant."""
    wanted = [
        (record, summary, metric)
        for record, summary in pairs
        for metric in metrics[record.experiment, record.variant]
        if metric in measured(record.summary)  # what a run cost is no result
    ]
    found = []
    for record, summary, metric in wanted:
        key = record.experiment, record.variant
        seeds = [
            measured(other.summary)[metric]
            for other in scan.records
            if (other.experiment, other.variant) == key
        ]
        low, high = prediction(seeds, LEVEL / len(wanted))
        before, again = measured(record.summary)[metric], measured(summary)[metric]
        found.append(Comparison(label(record), metric, before, again, low, high))
    return found


def prediction(seeds: Sequence[float], level: float) -> tuple[float | None, float | None]:
    """Where one more seed falls with probability 1 - level; None with fewer than two to tell by."""
    n = len(seeds)
    if n < 2:
        return None, None
    half = t_quantile(n - 1, 1 - level) * statistics.stdev(seeds) * math.sqrt(1 + 1 / n)
    mean = statistics.fmean(seeds)
    return mean - half, mean + half
