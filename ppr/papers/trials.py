"""One comparison of a claim: its statistics, and the words for what it asks and what was found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ppr.papers.cells import Filled
from ppr.papers.claim_schema import Claim, Difference, Equal, Matches, Monotone, Ratio
from ppr.papers.comparisons import (
    LEVEL,
    Shift,
    one_sample,
    p_above,
    p_above_skewed,
    p_below,
    p_below_skewed,
    paired,
    welch,
)
from ppr.papers.reported import ROUNDING, Value


@dataclass(frozen=True)
class Bound:
    """The hypothesis that a shift lies above (or below) a value."""

    side: Literal["above", "below"]
    at: float

    def p_value(self, shift: Shift) -> float:
        return (p_above if self.side == "above" else p_below)(shift, self.at)

    def p_skewed(self, shift: Shift) -> float:
        return (p_above_skewed if self.side == "above" else p_below_skewed)(shift, self.at)

    def distance(self, shift: Shift) -> float:
        """How far on its own side the estimate lies; negative on the other."""
        away = shift.estimate - self.at
        return away if self.side == "above" else -away


@dataclass(frozen=True)
class Trial:
    """One comparison of a claim; `obstacle` says why its statistics cannot be had.

    `name` is that of the cells, `label` has their values too, `found` how far they are apart, and
    `asked` what the claim wants of that. `opposite`: the shift below which the contrary of the
    claim's own words is true, and not only its margin missed. `lopsided`: of one cell, or of two
    that are weighed unlike, so that no skew of the one cancels the other's.
    """

    name: str
    label: str
    shift: Shift
    support: tuple[Bound, ...]
    oppose: tuple[Bound, ...]
    found: str
    asked: str
    opposite: float | None = None
    obstacle: str = ""
    lopsided: bool = False

    def __str__(self) -> str:
        return f"{self.label}: {self.found}, {self.asked} asked"

    def p_opposite(self) -> float:
        """The p-value of the contrary; 1 where there is none beside the margin's."""
        return 1.0 if self.opposite is None else p_below(self.shift, self.opposite)


def trial(claim: Claim, group: tuple[Filled, ...]) -> Trial:
    """The statistics of one comparison, of cells that all have runs."""
    shown = group[0].samples.values()
    if isinstance(claim, Difference):
        against = "" if claim.than is None else f" against {claim.than:g}"
        if claim.than is not None:
            shift = _sure(one_sample(list(shown), claim.than), group)
        else:
            shift = _sure(_difference(group, claim.paired), group)
        margin = max(claim.margin, claim.negligible)
        made = _ordered(_labels(group, against), shift, claim.test == "greater", margin)
    elif isinstance(claim, Monotone):
        first, second = (list(filled.samples.values()) for filled in group)
        labels = _labels(group, between=" to ")
        rising = claim.direction == "increasing"
        shift = _sure(welch(second, first), group)
        made = _ordered(labels, shift, rising, claim.negligible)
    elif isinstance(claim, Equal):
        shift = _sure(_difference(group, claim.paired), group)
        made = _equivalent(_labels(group), shift, claim.tolerance)
    elif isinstance(claim, Matches):
        reported = group[0].cell.reported
        assert reported is not None
        return _matches(claim, reported, group[0])
    else:
        assert isinstance(claim, Ratio)
        return _ratio(claim, group)
    by_seed = isinstance(claim, Difference | Equal) and claim.paired
    made = replace(made, found=f"{made.found} seed by seed") if by_seed else made
    return replace(made, lopsided=len(group) == 1 and not made.shift.certain)


def _sure(shift: Shift, group: tuple[Filled, ...]) -> Shift:
    """The shift, with no chance in it where no seed moves any of its cells: compared as it is."""
    return replace(shift, certain=True) if all(filled.certain for filled in group) else shift


def _matches(claim: Matches, reported: Value, filled: Filled) -> Trial:
    """A cell that no seed moves is compared without statistics, its own rounding error allowed."""
    shift = one_sample(list(filled.samples.values()), reported.value)
    tolerance, parts = reported.allowed(claim.tolerance)
    if filled.certain:
        shift, tolerance = replace(shift, certain=True), tolerance * (1 + ROUNDING)
    told = f" (the authors' later code: {reported.later.value.text})" if reported.later else ""
    labels = _labels((filled,), f" against reported {reported}{told}")
    made = _equivalent(labels, shift, tolerance)
    asked = f"{made.asked} ({parts})" if "+" in parts else f"less than {parts}"
    return replace(made, asked=asked, lopsided=not filled.certain)


def _labels(
    group: tuple[Filled, ...], after: str = "", between: str = " against "
) -> tuple[str, str]:
    """The cells' names, and the same with their values."""
    names = [f"{filled.cell.row}, {filled.cell.column}" for filled in group]
    values = [
        number(f.interval.mean) if f.cell.is_theory and f.interval else str(f.interval)
        for f in group
    ]
    both = [f"{name}: {value}" for name, value in zip(names, values, strict=True)]
    return between.join(names), between.join(both) + after


def number(value: float) -> str:
    """Three or four digits, as one reads them: no exponent for thousands."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.4g}"


def _ratio(claim: Ratio, group: tuple[Filled, ...]) -> Trial:
    first, second = (list(filled.samples.values()) for filled in group)
    factor = claim.at_least if claim.at_least is not None else claim.at_most
    assert factor is not None
    shift = _sure(welch(first, second, factor), group)
    mean, base = (filled.interval.mean for filled in group if filled.interval)
    made = Trial(
        *_labels(group),
        shift if claim.at_most is None else -shift,
        support=(Bound("above", 0.0),),
        oppose=(Bound("below", 0.0),),
        found=f"{number(mean / base)} times" if base else "no ratio to 0",
        asked=f"at {'most' if claim.at_most is not None else 'least'} {number(factor)} times",
        obstacle=_obstacle(shift),
        lopsided=not shift.certain,
    )
    below = one_sample(second)
    clear = below.testable and p_above(below, 0.0) < LEVEL
    if made.obstacle or clear or (below.error == 0 and below.estimate > 0):
        return made
    obstacle = f"{group[1].cell.row} is not clearly above 0, so a ratio to it says nothing"
    return replace(made, obstacle=obstacle)


def _difference(group: tuple[Filled, ...], by_seed: bool) -> Shift:
    first, second = (filled.samples for filled in group)
    if not by_seed:
        return welch(list(first.values()), list(second.values()))
    if not first.keys() & second.keys():
        return Shift(0.0, ((0.0, 0),))
    return paired(first, second)


def _ordered(labels: tuple[str, str], shift: Shift, rising: bool, margin: float) -> Trial:
    """Support and opposition meet at the margin, so that no number of seeds shows both."""
    word = "higher" if rising else "lower"
    return Trial(
        *labels,
        shift if rising else -shift,
        support=(Bound("above", margin),),
        oppose=(Bound("below", margin),),
        found=f"{number(abs(shift.estimate))} {'higher' if shift.estimate >= 0 else 'lower'}",
        asked=f"more than {margin:g} {word}" if margin else word,
        opposite=0.0,
        obstacle=_obstacle(shift),
    )


def _equivalent(labels: tuple[str, str], shift: Shift, tolerance: float) -> Trial:
    return Trial(
        *labels,
        shift,
        support=(Bound("above", -tolerance), Bound("below", tolerance)),
        oppose=(Bound("above", tolerance), Bound("below", -tolerance)),
        found=f"{number(abs(shift.estimate))} apart",
        asked=f"less than {tolerance:g}",
        obstacle=_obstacle(shift),
    )


def _obstacle(shift: Shift) -> str:
    if shift.testable:
        return ""
    fewest = min(n for _, n in shift.parts)
    if fewest < 2:
        return f"n={fewest}: a test needs two seeds or more"
    return "no spread over the seeds: a t-test needs some"
