"""Cells with both values: what the paper reports, and what ppr gets.

A cell is `within` where its whole 95 % interval lies as near the reported value as that was read,
its own interval and the tolerance of a `matches` claim about it allowed; `outside` where the whole
interval lies beyond; else `undecided`, as is one run alone. What no seed moves has no interval and
is one or the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ppr.errors import BadRequest

if TYPE_CHECKING:
    from ppr.papers.cells import Filled, Results
    from ppr.papers.schema import Paper

Fate = Literal["within", "undecided", "outside"]
FATES: tuple[Fate, ...] = ("within", "undecided", "outside")


@dataclass(frozen=True)
class Pair:
    """A cell's reported and reproduced value as they are shown, and how far apart they are."""

    table: str
    scale: str
    row: str
    column: str
    unit: str
    reported: str
    reproduced: str
    n: int
    difference: float
    allowed: float
    fate: Fate

    @property
    def cell(self) -> str:
        return f"{self.table}: {self.row}, {self.column}"


def pairs(paper: Paper, results: Results) -> Iterator[Pair]:
    """The cells of a paper that have both values, in the order of its tables."""
    from ppr.papers.cells import cells

    for cell in (cell for name, table in paper.tables.items() for cell in cells(name, table)):
        value = cell.reported
        if value is None:
            continue
        try:
            each = results.fill(cell)
        except BadRequest:  # its experiment is yet to come
            continue
        interval = each.interval
        if interval is None or each.difference is None:
            continue
        half_width = 0.0 if each.certain else interval.half_width
        allowed = value.allowed(tolerance(paper, each) or 0.0)[0]
        if half_width:
            shown = str(interval).rpartition(" (")[0]
        else:  # one digit more than the source has shows on which side of it the value lies
            shown = f"{interval.mean:.{value.value.decimals + 1}f}"
        yield Pair(
            cell.name,
            cell.table.scale,
            cell.row,
            cell.column,
            cell.table.unit,
            str(value),
            shown,
            interval.n,
            each.difference,
            allowed,
            fate(each.difference, half_width, allowed),
        )


def fate(difference: float, half_width: float | None, allowed: float) -> Fate:
    """How a difference and its 95 % half-width lie to what is allowed; of one run there is none."""
    if half_width is None:
        return "undecided"
    from ppr.papers.reported import ROUNDING

    allowed *= 1 + ROUNDING
    if abs(difference) + half_width <= allowed:
        return "within"
    return "outside" if abs(difference) - half_width > allowed else "undecided"


def tolerance(paper: Paper, filled: Filled) -> float | None:
    """That of the `matches` claim about a cell; None where there is no such claim."""
    from ppr.papers.cells import refer
    from ppr.papers.claim_schema import Matches

    for claim in paper.claims.values():
        if isinstance(claim, Matches) and filled.cell.reported is not None:
            places = [cell.place for text in claim.cells for cell in refer(paper, text)]
            if filled.cell.place in places:
                return claim.tolerance
    return None


def told(found: Iterable[Iterable[Pair]]) -> str:
    """`212 cells of 26 papers with both values: 120 within, 61 undecided, 31 outside`."""
    papers = [each for pairs_of in found if (each := list(pairs_of))]
    every = [pair.fate for each in papers for pair in each]
    counts = ", ".join(f"{every.count(name)} {name}" for name in FATES)
    cells = f"{len(every)} {'cell' if len(every) == 1 else 'cells'}"
    of = f"{len(papers)} {'paper' if len(papers) == 1 else 'papers'}"
    return f"{cells} of {of} with a reported and a reproduced value: {counts}"
