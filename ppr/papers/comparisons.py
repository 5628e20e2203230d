"""Statistics over seeds behind the verdicts: t statistics, Holm's correction, how many seeds more.

Samples are independent and about normal. A `Shift` is an estimate of one difference, made of
parts (standard deviation, n) that add up in its variance; its degrees of freedom are those of
Welch and Satterthwaite:

    error^2 = sum_k s_k^2 / n_k
    freedom = error^4 / sum_k (s_k^2 / n_k)^2 / (n_k - 1)

One part is Student's one-sample or paired test, two are Welch's. The formulas are those documented
for `scipy.stats.ttest_ind(equal_var=False)`, which the tests hold them against.

Not by statsmodels, which has Holm's correction, and the power of t tests of equal spreads, but not
of a `Shift`, and brings pandas.

Skewed seeds hardly harm the comparison of like cells, whose skews cancel: of exponential and
log-normal values (s = 1), with spreads of 1 and 1.5, 6 to 9 % of such verdicts are false where 5 %
may be. They break Student's test of one cell, which shows in 16 and 23 % of draws of n = 5 that the
mean is lower than it is, and a ratio's, which weighs its cells unlike. No test of a mean can hold
its level for every law (Bahadur and Savage, Ann. Math. Statist. 27, 1956). What can be done is to
ask what the skew seen in the seeds makes of the statistic T. With m_k the third central moment of a
part, and k the skewness of the estimate,

    k = sum_k m_k / n_k^2 / error^3        (of one cell: its sample skewness / sqrt n)
    T + k T^2 / 3 + k^2 T^3 / 27 + k / 6   (Hall's cubic transform, J. R. Statist. Soc. B 54, 1992)

is nearer to Student's t. The formula was read in `hallt` of the Stata archive SSC; of two cells the
same k takes away the leading term, as T's expansion is that of one cell with k for its skewness.
`python benchmarks/verdicts.py` prints these rates for every kind of claim.
"""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

LEVEL = 0.05
POWER = 0.8
MOST_SEEDS = 1000
"""Beyond this many seeds an answer is no plan."""


@dataclass(frozen=True)
class Shift:
    """An estimated difference; its error comes from `parts`, each (standard deviation, n).

    `skew`: the skewness of the estimate, as far as the seeds show it. `certain`: no chance is in
    it, so that a p-value is 0 or 1.
    """

    estimate: float
    parts: tuple[tuple[float, int], ...]
    skew: float = 0.0
    certain: bool = False

    @property
    def error(self) -> float:
        return math.sqrt(sum(s * s / n for s, n in self.parts))

    @property
    def freedom(self) -> float:
        return self.error**4 / sum((s * s / n) ** 2 / (n - 1) for s, n in self.parts)

    @property
    def testable(self) -> bool:
        """Each part has two seeds or more, and they differ: no spread is no measure of chance."""
        return self.certain or (all(n > 1 for _, n in self.parts) and self.error > 0)

    def __neg__(self) -> Shift:
        return replace(self, estimate=-self.estimate, skew=-self.skew)


def welch(first: Sequence[float], second: Sequence[float], factor: float = 1.0) -> Shift:
    """mean(first) - factor * mean(second), of independent samples.

    With a factor r this tests a ratio of means without dividing: mean(first)/mean(second) >= r is
    mean(first) - r mean(second) >= 0 where the second mean is positive, as in Fieller's theorem.
    """
    estimate = statistics.fmean(first) - factor * statistics.fmean(second)
    return _shift(estimate, first, [-factor * value for value in second])


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Shift:
    """The mean difference over the seeds that both have."""
    return one_sample([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])


def one_sample(values: Sequence[float], against: float = 0.0) -> Shift:
    return _shift(statistics.fmean(values) - against, values)


def _shift(estimate: float, *samples: Sequence[float]) -> Shift:
    shift = Shift(estimate, tuple(map(_part, samples)))
    if shift.error == 0 or any(len(values) < 3 for values in samples):
        return shift
    third = sum(_third(values) / len(values) ** 2 for values in samples)
    return replace(shift, skew=third / shift.error**3)


def _third(values: Sequence[float]) -> float:
    """The third central moment, without bias."""
    n, mean = len(values), statistics.fmean(values)
    return n / ((n - 1) * (n - 2)) * sum((value - mean) ** 3 for value in values)


def _part(values: Sequence[float]) -> tuple[float, int]:
    if len(values) < 2:
        return 0.0, len(values)
    # Equal values can leave a rounding error for a spread, and then a t statistic of millions.
    spread = 0.0 if min(values) == max(values) else statistics.stdev(values)
    return spread, len(values)


def p_above(shift: Shift, bound: float) -> float:
    """The one-sided p-value of "the difference is greater than `bound`"."""
    if shift.certain:
        return 0.0 if shift.estimate > bound else 1.0
    from scipy.special import stdtr

    return float(stdtr(shift.freedom, (bound - shift.estimate) / shift.error))


def p_above_skewed(shift: Shift, bound: float) -> float:
    """`p_above` with the skew of the seeds allowed for."""
    from scipy.special import stdtr

    t, k = (shift.estimate - bound) / shift.error, shift.skew
    return float(stdtr(shift.freedom, -(t + k * t**2 / 3 + k**2 * t**3 / 27 + k / 6)))


def p_below_skewed(shift: Shift, bound: float) -> float:
    return p_above_skewed(-shift, -bound)


def p_below(shift: Shift, bound: float) -> float:
    return p_above(-shift, -bound)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: all of them below 0.05 hold together at 5 %."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def told_apart(first: Shift) -> float:
    """The two-sided p-value of a difference; 1 where it cannot be tested."""
    return 2 * min(p_above(first, 0.0), p_below(first, 0.0)) if first.testable else 1.0


def leaders(samples: Mapping[str, Sequence[float]], best: Literal["max", "min"]) -> set[str]:
    """The one of the best mean and all that are not told apart from it, at 5 % over all pairs.

    All pairs, as which is compared with which depends on the means. One seed says nothing of chance
    and neither leads nor follows; where no pair can be tested, nobody leads.
    """
    samples = {name: values for name, values in samples.items() if len(values) > 1}
    pairs = list(itertools.combinations(samples, 2))
    shifts = [welch(samples[one], samples[other]) for one, other in pairs]
    if not any(shift.testable for shift in shifts):
        return set()
    means = {name: statistics.fmean(values) for name, values in samples.items()}
    first = (max if best == "max" else min)(means, key=means.__getitem__)
    p_values = zip(pairs, holm([told_apart(shift) for shift in shifts]), strict=True)
    behind = {name for pair, p in p_values if first in pair and p < LEVEL for name in pair}
    return {name for name in samples if name == first or name not in behind}


def seeds_needed(
    shift: Shift, distance: float, level: float = LEVEL, power: float = POWER
) -> int | None:
    """Seeds in each cell at which a true `distance` from the bound shows with probability `power`.

    Takes the spreads seen so far for the true ones; the power of a one-sided t-test is

        P(T' > t_{1-level, df}),   T' noncentral t with df and noncentrality distance / error.

    None: more than 1000.
    """
    from scipy.special import nctdtr, stdtrit

    def reached(n: int) -> bool:
        then = Shift(distance, tuple((s, n) for s, _ in shift.parts))
        critical = stdtrit(then.freedom, 1 - level)
        return bool(1 - nctdtr(then.freedom, distance / then.error, critical) >= power)

    # Power grows with n, so the first that reaches it is found by bisection.
    counts = range(2, MOST_SEEDS + 1)
    at = bisect_left(counts, True, key=reached)
    return counts[at] if at < len(counts) else None
