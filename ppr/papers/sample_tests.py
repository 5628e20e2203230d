"""Two networks on the same samples: is one right where the other is wrong, more often than chance?

This asks about the samples, given the networks; the tests over seeds ask about the training, given
the samples. Neither stands for the other.

McNemar's exact test (Psychometrika 12, 1947), of two networks: of the n samples on which one alone
is right, b are the first's. If neither were better, b would be binomial(n, 1/2):

    p = min(1, 2 P(X <= min(b, n - b)))

Bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3): the samples
are drawn again with replacement, and the percentiles 2.5 and 97.5 of the mean difference are an
interval. Of several seeds a side, a sample's value is its mean over the side's networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppr.errors import BadRequest
from ppr.results.predictions import Predictions, kept, read_kept
from ppr.results.statistics import CONFIDENCE

DRAWS = 10_000
"""An end of the interval then lies within 2 % of its width of where endless draws would put it."""


@dataclass(frozen=True)
class SampleTest:
    """Second less first. `first_alone`, `second_alone` and `p_value` are of single networks."""

    evaluator: str
    samples: int
    networks: tuple[int, int]
    difference: float
    low: float
    high: float
    first_alone: int | None = None
    second_alone: int | None = None
    p_value: float | None = None


def sample_tests(first: Sequence[Path | None], second: Sequence[Path | None]) -> list[SampleTest]:
    """Of each evaluator whose predictions all runs of both sides have kept.

    A published record has no directory, and none.

    Raises:
        BadRequest: they were measured on other samples.
        RunFailed: a file cannot be read.
    """
    sides = [[folder for folder in side if folder is not None] for side in (first, second)]
    if sum(map(len, sides)) < len(first) + len(second):
        return []
    both = [kept(folder) for side in sides for folder in side]
    names = [name for name in both[0] if all(name in every for every in both)]
    lead = sides[0][0]
    return [_of(name, *(_side(name, side, lead) for side in sides)) for name in names]


def _side(evaluator: str, folders: Sequence[Path], lead: Path) -> list[Predictions]:
    """One side's predictions, on the samples that the first run of all was measured on."""
    same, facts = read_kept(lead, evaluator)
    found = []
    for folder in folders:
        own, said = read_kept(folder, evaluator)
        alike = said == facts and np.array_equal(own.target, same.target)
        if not alike:
            raise BadRequest(
                f"{evaluator}: {lead} ({facts['split']}) and {folder} ({said['split']}) kept the "
                "predictions of other samples, so they cannot be paired; measure one of them on "
                "the other's data and split with ppr evaluate"
            )
        found.append(own)
    return found


def _of(name: str, first: list[Predictions], second: list[Predictions]) -> SampleTest:
    before, after = (np.mean([each.right for each in side], axis=0) for side in (first, second))
    shift = after - before
    low, high = bootstrap(shift)
    networks = len(first), len(second)
    found = SampleTest(name, len(shift), networks, float(shift.mean()), low, high)
    if networks != (1, 1):
        return found
    ours, theirs = (side[0].predicted == side[0].target for side in (first, second))
    b, c = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return SampleTest(name, len(shift), networks, found.difference, low, high, b, c, mcnemar(b, c))


def mcnemar(first_alone: int, second_alone: int) -> float:
    """The two-sided exact p-value; 1 where the two are never right alone."""
    from scipy.special import bdtr  # scipy.stats takes seconds to import

    n = first_alone + second_alone
    return min(1.0, 2 * float(bdtr(min(first_alone, second_alone), n, 0.5))) if n else 1.0


def bootstrap(values: NDArray[np.floating], draws: int = DRAWS) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of [N] values, the same for the same values.

    Samples of one value are alike, so how often each value is drawn is multinomial: that is as
    exact as drawing N samples each time, and takes the time of the few values there are.
    """
    found, counts = np.unique(values, return_counts=True)
    n = len(values)
    drawn = np.random.default_rng(0).multinomial(n, counts / n, size=draws) @ found / n
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
