"""Which cells a claim compares: a comparison a column, or a step of `monotone`."""

from __future__ import annotations

import itertools

from ppr.errors import BadRequest
from ppr.papers.cells import Cell, refer
from ppr.papers.claim_schema import Claim, Exact, Matches, Monotone
from ppr.papers.schema import Paper


def plans(paper: Paper) -> dict[str, list[tuple[Cell, ...]]]:
    """The cells that each trial of each claim compares."""
    return {name: plan(paper, name) for name in paper.claims}


def plan(paper: Paper, name: str) -> list[tuple[Cell, ...]]:
    """The cells that each trial of a claim compares.

    Raises:
        BadRequest: a table, row or column that is not there; cells that cannot be compared.
    """
    claim = paper.claims[name]
    try:
        groups = _groups(claim, [refer(paper, text, claim.metric) for text in claim.cells])
        for group in groups:
            where = ", ".join(cell.place for cell in group)
            _same(f"{where} are of different metrics", {cell.meaning for cell in group})
            _same(f"{where} are of different units", {cell.table.unit for cell in group})
        scales = {cell.table.scale for group in groups for cell in group}
        _same("its cells are of different scales", {str(scale) for scale in scales})
    except BadRequest as error:
        raise BadRequest(f"claims.{name}: {error}") from None
    return groups


def _same(complaint: str, kinds: set[str]) -> None:
    if len(kinds) > 1:
        raise BadRequest(f"{complaint}: {', '.join(sorted(kinds))}")


def _groups(claim: Claim, referred: list[list[Cell]]) -> list[tuple[Cell, ...]]:
    first, *others = referred
    if isinstance(claim, Matches):
        reported: list[tuple[Cell, ...]]
        reported = [(cell,) for cells in referred for cell in cells if cell.reported]
        if not reported:
            raise BadRequest("the paper reports no value for its cells")
        return reported
    if isinstance(claim, Monotone):
        if not others:
            referred = [[cell] for cell in first]
        if len(referred) < 2 or len({cell.row for cell in first}) > 1:
            raise BadRequest("needs one row with several columns, or several cells in order")
        return [pair for two in itertools.pairwise(referred) for pair in _zip(*two)]
    if isinstance(claim, Exact) and (claim.value is not None or claim.bound is not None):
        return [(cell,) for cells in referred for cell in cells]
    if not others:
        return [(cell,) for cell in first]
    return _zip(first, others[0])


def _zip(first: list[Cell], second: list[Cell]) -> list[tuple[Cell, ...]]:
    """Pair row with row column by column, or one cell with one."""
    if len(first) != len(second):
        raise BadRequest(f"{len(first)} cells against {len(second)}: name the columns too")
    if len(first) > 1 and [c.column for c in first] != [c.column for c in second]:
        raise BadRequest("the rows have different columns: name the columns too")
    return list(zip(first, second, strict=True))


def check_claims(paper: Paper) -> None:
    """Refuse claims over cells that are not there or cannot be compared."""
    for name in paper.claims:
        plan(paper, name)
