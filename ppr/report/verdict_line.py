"""A finished run held against its paper, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.papers.cache import papers_using
from ppr.papers.cells import Filled, Results, cells, refer
from ppr.papers.claim_schema import Matches
from ppr.papers.files import folders, load
from ppr.papers.schema import Paper
from ppr.report.sheet import difference, reported, reproduced
from ppr.results.tree import scan


def verdict_line(
    summary: Mapping[str, Any], root: Path, resolve: Callable[[Sequence[str]], tuple[str, str]]
) -> str:
    """What the paper with a cell of this run reports beside what is reproduced so far.

    A cell with a reported value comes before one without; empty where no paper has a cell.
    """
    slugs = papers_using([summary["experiment"]])
    if not slugs:
        return ""
    results = Results(resolve, scan(root))
    found = [pair for slug in slugs for pair in _cells_of(load(slug, folders()), summary, results)]
    if not found:
        return ""
    paper, filled = next((pair for pair in found if pair[1].cell.reported), found[0])
    cell = filled.cell
    said = f"reproduced {reproduced(filled)}"
    if cell.reported:
        against = _against(filled, _tolerance(paper, filled))
        said = f"reported {reported(filled)}, {said}, {against}"
    return (
        f"{cell.row}, {cell.column}: {said}; {command_line('table', f'{paper.slug}/{cell.name}')} "
        f"({len(filled.samples)} of {filled.asked} seeds)"
    )


def _cells_of(
    paper: Paper, summary: Mapping[str, Any], results: Results
) -> Iterator[tuple[Paper, Filled]]:
    for name, table in paper.tables.items():
        if table.scale != summary.get("scale"):
            continue
        for cell in cells(name, table):
            if f"experiment={summary['experiment']}" not in cell.overrides:
                continue
            if results.variant(cell) == (summary["experiment"], summary["variant"]):
                filled = results.fill(cell)
                if filled.samples:
                    yield paper, filled


def _tolerance(paper: Paper, filled: Filled) -> float | None:
    """That of the `matches` claim about the cell, with how the value was read and its interval."""
    value = filled.cell.reported
    for claim in paper.claims.values():
        if isinstance(claim, Matches) and value is not None:
            places = [cell.place for text in claim.cells for cell in refer(paper, text)]
            if filled.cell.place in places:
                return value.allowed(claim.tolerance)[0]
    return None


def _against(filled: Filled, tolerance: float | None) -> str:
    """The whole interval counts: a mean within tolerance may still be a matter of chance."""
    away, interval = filled.difference, filled.interval
    assert away is not None
    assert interval is not None
    if tolerance is None:
        return f"difference {difference(filled)}"
    if interval.half_width is None:
        return f"difference {difference(filled)} (tolerance {tolerance:g})"
    if abs(away) + interval.half_width <= tolerance:
        return "within tolerance"
    if abs(away) - interval.half_width > tolerance:
        return f"outside tolerance ({difference(filled)}, {tolerance:g} allowed)"
    return f"not decided within tolerance ({difference(filled)}, {tolerance:g} allowed)"
