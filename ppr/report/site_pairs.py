"""Cells with a reported and a reproduced value: the site's first screen, and a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppr.papers.files import Reference
from ppr.papers.pairs import Pair, told
from ppr.report import scoreboard
from ppr.report.site_paper import anchor, link

MOST_PAIRS = 10
"""Papers with a reported value on the first screen."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Cells with a reported and a reproduced value: of all papers, and the first of some."""

    told: str
    papers: int
    first: list[tuple[Reference, str, Pair]]
    rows: list[tuple[Reference, str, Pair]]


def paired_of(rows: Sequence[scoreboard.Row], folder: str) -> Paired:
    """Those of a scoreboard, with links to the papers' pages in a folder."""
    every = [
        (paper, link(Path(folder) / f"{paper.slug}.html", Path()) + f"#{anchor(pair.table)}", pair)
        for paper, standing in rows
        for pair in standing.pairs
    ]
    first = {paper.slug: (paper, href, pair) for paper, href, pair in reversed(every)}
    kept = [first[paper.slug] for paper, _ in rows if paper.slug in first]
    counts = told(standing.pairs for _, standing in rows)
    return Paired(counts, len(kept), kept[:MOST_PAIRS], every)
