"""A finished run held against its paper, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.papers.cache import papers_using
from ppr.papers.cells import Filled, Results, cells
from ppr.papers.files import folders, load
from ppr.papers.pairs import fate, tolerance
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
        against = _against(filled, tolerance(paper, filled))
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


def _against(filled: Filled, claimed: float | None) -> str:
    """The whole interval counts: a mean within tolerance may still be a matter of chance."""
    away, interval, value = filled.difference, filled.interval, filled.cell.reported
    assert away is not None
    assert interval is not None
    assert value is not None
    if claimed is None:
        return f"difference {difference(filled)}"
    allowed = value.allowed(claimed)[0]
    if interval.half_width is None:
        return f"difference {difference(filled)} (tolerance {allowed:g})"
    found = fate(away, interval.half_width, allowed)
    said = "not decided within" if found == "undecided" else found
    by = "" if found == "within" else f" ({difference(filled)}, {allowed:g} allowed)"
    return f"{said} tolerance{by}"
