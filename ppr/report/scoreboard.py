"""The scoreboard as Markdown, for `results/README.md`: no dates, so that only results change it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from ppr.errors import BadRequest
from ppr.papers.board import Standing
from ppr.papers.files import Reference
from ppr.papers.kinds import Counts, added, findings, multiverse, others, summary
from ppr.papers.pairs import told as pairs_told
from ppr.papers.table_schema import SCALES
from ppr.report.formats import md

Row = tuple[Reference, Standing]

HEART = "contrastive"

HEAD = """\
# Scoreboard

Written by `ppr report --scoreboard`; not to be edited by hand. Verdicts are those of the claims
that a paper's file states, tested on the runs in this folder. A desk-scale verdict (minutes on a
laptop, small real data or exact settings) never stands for a paper-scale one (the paper's own data
and length). `ppr paper NAME` shows one paper, `ppr reproduce NAME` runs what is missing of it.

A *finding* is a sentence that could have come out otherwise with the code right; it is *untuned*
where it compares rows whose settings are neither tuned by a grid that the file states nor the
paper's own. It is *robust* if its direction persists in every universe of its multiverse (another
draw of the data, several times the training, another rate, width or metric, and what its file names
besides), *fragile* if it turns in one, and *not asked* while some are to be run. A claim *against*
contradicts the paper or its released code. A *check* is one that only a bug could break (a formula
against itself, arithmetic, trained against untrained), and says nothing of the paper. The three are
counted apart.
"""

PAIRED = """\
## Reported and reproduced

A cell is *within* if its whole 95 % interval lies as near the reported value as that was read (half
its last digit, or what a figure allows), the reported interval and the claim's tolerance allowed;
*outside* if the whole lies beyond; else *undecided*. ≈ is read off a figure.
"""

BEGIN, END = "<!-- scoreboard -->", "<!-- end of scoreboard -->"
MOST_IN_README = 8


def ordered(board: Sequence[Row]) -> list[Row]:
    """Papers with tables first, of these the tool's heart, then by family, then by name."""
    return sorted(
        board,
        key=lambda row: (
            not row[0].has_tables,
            row[0].family != HEART,
            row[0].family,
            row[0].slug,
        ),
    )


def total(board: Sequence[Row], scale: str) -> Counts:
    """Kind of claim -> outcome -> how many, at a scale."""
    return added(standing.verdicts.get(scale, {}) for _, standing in board)


def markdown(board: Sequence[Row], folder: Path) -> str:
    """The page; its links to the papers' files are relative to `folder`, where it will lie."""
    rows = [row for row in ordered(board) if row[0].title]  # others cannot be read
    tested = [row for row in rows if row[0].has_tables]
    planned = [row for row in rows if not row[0].has_tables]
    lines = [HEAD]
    lines.append(f"{len(rows)} papers: {len(tested)} with tables, {len(planned)} planned.\n")
    lines += told(rows)
    if any(standing.pairs for _, standing in rows):
        lines.append(f"\n{PAIRED}")
        lines.append(pair_table(rows, folder))
    lines.append(f"\n## Papers with tables ({len(tested)})\n")
    head = ["paper", "year", "family", "implemented", "reached", *(f"{s} findings" for s in SCALES)]
    head += ["of those reproduced", "contradicted", "checks"]
    lines.append(_table(head, [_row(*row, folder) for row in tested]))
    lines.append(f"\n## Planned ({len(planned)})\n")
    families: dict[str, list[Reference]] = {}
    for paper, _ in planned:
        families.setdefault(paper.family, []).append(paper)
    for family, papers in families.items():
        names = ", ".join(_link(paper.slug, paper.path, folder) for paper in papers)
        lines.append(f"- **{md(family)}** ({len(papers)}): {names}")
    return "\n".join(lines) + "\n"


def told(board: Sequence[Row]) -> list[str]:
    """The counts of all papers, a line a scale: they stand in the README too."""
    lines = [
        f"- {scale.capitalize()} scale: {summary(counts)}."
        for scale in SCALES
        if (counts := total(board, scale))
    ]
    if any(standing.pairs for _, standing in board):
        lines.append(f"- {pairs_told(standing.pairs for _, standing in board)}.")
    return lines


def pair_table(board: Sequence[Row], folder: Path, most: int | None = None) -> str:
    """Reported beside reproduced: all cells, or the first of each of so many papers."""
    rows = [row for row in ordered(board) if row[1].pairs]
    shown = [
        [
            _link(paper.slug, paper.path, folder),
            *map(md, (pair.cell, pair.unit, pair.reported, pair.reproduced)),
            *(str(pair.n), f"{pair.allowed:.3g}", pair.fate),
        ]
        for paper, standing in rows[:most]
        for pair in standing.pairs[: None if most is None else 1]
    ]
    head = ["paper", "cell", "unit", "reported", "reproduced", "n", "allowed", "falls"]
    return _table(head, shown)


def readme(text: str, board: Sequence[Row], folder: Path) -> str:
    """A page with what stands between its two marks written anew: the counts, and a few cells.

    Raises:
        BadRequest: it has no such marks.
    """
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise BadRequest(f"no lines {BEGIN} and {END}, between which the counts could be written")
    rows = [row for row in ordered(board) if row[0].title]
    lines = ["", *told(rows)]
    if any(standing.pairs for _, standing in rows):
        lines += ["", f"The first cell of each of {MOST_IN_README} papers with both values:", ""]
        lines.append(pair_table(rows, folder, MOST_IN_README))
    return f"{before}{BEGIN}{chr(10).join(lines)}\n{END}{after}"


def _row(paper: Reference, standing: Standing, folder: Path) -> list[str]:
    return [
        _link(paper.title, paper.path, folder),
        str(paper.year),
        md(paper.family),
        ", ".join(standing.scales) or "yet to come",
        standing.reached or "–",
        *(findings(standing.verdicts.get(scale, {})) for scale in SCALES),
        multiverse(added(standing.verdicts.values())),
        others(added(standing.verdicts.values()), "against"),
        others(added(standing.verdicts.values()), "identity"),
    ]


def _link(text: str, path: Path, folder: Path) -> str:
    target = quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
    return f"[{md(text)}]({target})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
