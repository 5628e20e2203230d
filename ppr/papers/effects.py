"""The effect that a claim speaks of, in any universe: its own contrast, and whether it holds there.

In the table's unit, signed so that more than 0 is the direction claimed. Of several comparisons
(columns, steps) that a claim makes it is the least, as all of them must hold.

    claim                        effect                                      holds
    greater [than a number]      difference                                  > 0
    less                         the same, the two exchanged
    monotone                     the least step, in the direction claimed    > 0
    ratio at_least r >= 1        difference: at_most r <= 1 exchanged        > 0
    ratio at_least r < 1         a - r b: at_most r > 1 as r b - a           > 0
    equal, tolerance t           t - |difference|                            > 0
    exact                        what is allowed less what it is off by      >= 0

The direction is asked for, and no margin: how large an effect is differs between universes, and a
claim of its size is judged by its verdict. Where a claim is of a size alone (equal, exact, a ratio
that may go either way), its criterion stands for the direction. A value that a paper reports is of
one setting, so that `matches` has no universe.
"""

from __future__ import annotations

from collections.abc import Sequence

from ppr.papers.claim_schema import Claim, Difference, Equal, Exact, Matches, Monotone, Ratio
from ppr.papers.comparisons import Shift, one_sample, paired, welch
from ppr.papers.exact import allowance
from ppr.papers.looks import Group
from ppr.papers.robustness import Effect
from ppr.results.statistics import t_quantile


def effect(claim: Claim, groups: Sequence[Group], *, flipped: bool = False) -> Effect | None:
    """The least effect over the comparisons of a claim; None if one of them has no runs.

    `flipped`: of a metric for which lower is better, where the claim's is one of which higher is,
    or the other way round.
    """
    found = []
    for group in groups:
        if not all(filled.samples for filled in group):
            return None
        estimate, half_width, holds = _one(claim, group, flipped)
        place = ", ".join(dict.fromkeys(f"{f.cell.row}, {f.cell.column}" for f in group))
        seeds = min(len(filled.samples) for filled in group)
        found.append(Effect(estimate, half_width, holds, place, seeds))
    return min(found, key=lambda each: each.estimate, default=None)


def takes_another_metric(claim: Claim, *, flipped: bool) -> bool:
    """Whether the direction of a claim can be asked of another metric, of another scale."""
    if isinstance(claim, Difference):
        return claim.than is None
    return isinstance(claim, Ratio) or (isinstance(claim, Monotone) and not flipped)


def _one(claim: Claim, group: Group, flipped: bool) -> tuple[float, float | None, bool]:
    if isinstance(claim, Exact):
        spare = allowance(claim, group)
        return spare, None, spare >= 0
    assert not isinstance(claim, Matches)
    shift = _contrast(claim, group)
    half_width = t_quantile(shift.freedom) * shift.error if shift.testable else None
    if isinstance(claim, Equal):
        spare = claim.tolerance - abs(shift.estimate)
        return spare, half_width, spare > 0
    estimate = -shift.estimate if _falls(claim) != flipped else shift.estimate
    return estimate, half_width, estimate > 0


def _contrast(claim: Difference | Equal | Monotone | Ratio, group: Group) -> Shift:
    first, *others = ([*filled.samples.values()] for filled in group)
    if isinstance(claim, Difference) and claim.than is not None:
        return one_sample(first, claim.than)
    if isinstance(claim, Difference | Equal) and claim.paired:
        return paired(group[0].samples, group[1].samples)
    if isinstance(claim, Monotone):
        return welch(others[0], first)
    return welch(first, others[0], _factor(claim) if isinstance(claim, Ratio) else 1.0)


def _falls(claim: Claim) -> bool:
    """Whether the direction claimed is down."""
    if isinstance(claim, Difference):
        return claim.test == "less"
    if isinstance(claim, Monotone):
        return claim.direction == "decreasing"
    return isinstance(claim, Ratio) and claim.at_most is not None


def _factor(claim: Ratio) -> float:
    """1 where the claim's factor is one of size, on the side of its direction; else the factor."""
    if claim.at_least is not None:
        return 1.0 if claim.at_least >= 1 else claim.at_least
    assert claim.at_most is not None
    return 1.0 if claim.at_most <= 1 else claim.at_most
