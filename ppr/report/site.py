"""The static site of `ppr report`: a scoreboard, a page a paper, and the list of runs.

It opens from disk and asks the network for nothing: every page holds its own style, and a content
security policy allows that style and the scoreboard's one script by their hashes, and nothing else.
All that comes from data goes through Jinja's autoescape. No site generator (MkDocs, Sphinx) is in
it: those make pages of texts, which link to shared files; these are made of records.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

import ppr
from ppr.errors import BadRequest
from ppr.papers.board import Standing
from ppr.papers.board import standing as work_out
from ppr.papers.cells import Resolve, Results
from ppr.papers.claim_schema import KINDS
from ppr.papers.files import Reference, read, references
from ppr.papers.kinds import (
    added,
    is_untuned,
    multiverse,
    named,
    others,
    robustness,
    sentences,
)
from ppr.papers.table_schema import SCALES
from ppr.papers.verdict import OUTCOMES, UNTUNED
from ppr.report import scoreboard, sheet, site_chart, specification
from ppr.report.site_pairs import Paired, paired_of
from ppr.report.site_paper import (
    PaperView,
    TableView,
    VariantView,
    is_web,
    link,
    paper_view,
    variant_views,
)
from ppr.results.tree import Scan

GENERATOR = "ppr report"
PAPERS = "paper"
CONTRADICTED = named("against", "reproduced")
MOST_SHOWN = 3
"""Results drawn on the first screen."""


@dataclass(frozen=True, slots=True)
class BoardRow:
    """`tags`: what the filter finds it by; `weight` sorts by verdict."""

    paper: Reference
    standing: Standing
    href: str
    tags: list[str]
    weight: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A result on the first screen: a closed form and its measurement, whose findings all hold."""

    paper: Reference
    findings: int
    chart: site_chart.Chart
    href: str


def write_site(
    out: Path, root: Path, where: Sequence[Path], resolve: Resolve, scan: Scan
) -> tuple[list[Path], list[str]]:
    """Write every page into `out`; the same papers and runs give the same bytes.

    Returns the pages, and what is wrong with the files of the papers that have none.

    Raises:
        BadRequest: `out` has pages that are not of this command.
    """
    _refuse_others(out)
    results = Results(resolve, scan)
    board: list[scoreboard.Row] = []
    slugs: dict[tuple[str, str], list[str]] = {}
    asked: dict[tuple[str, str], str] = {}
    views: dict[str, PaperView] = {}
    pages: dict[Path, str] = {}
    site = _Site()
    papers, wrong = references(where)
    for found in papers:
        try:
            standing = work_out(found.path, results)[0] if found.has_tables else Standing()
            view = paper_view(read(found.path), standing, results, out / PAPERS)
        except BadRequest as error:
            wrong[found.path] = str(error)
            continue
        views[found.slug] = view
        board.append((found, standing))
        for variant in view.variants:
            slugs.setdefault((variant.experiment, variant.variant), []).append(found.slug)
        for cell in (cell for table in view.tables for cell in table.sheet.cells):
            asked.setdefault((cell.experiment, cell.variant), cell.cell.metric)
        pages[out / PAPERS / f"{found.slug}.html"] = site.paper(view)
    variants = [(v, slugs.get(key, [])) for key, v in variant_views(scan, asked, out).items()]
    rows = scoreboard.ordered(board)
    paired = paired_of(rows, PAPERS)
    pages[out / "index.html"] = site.index(rows, list(_shown(rows, views)), paired, scan)
    if paired.rows:
        pages[out / "reported.html"] = site.reported(paired)
    pages[out / "runs.html"] = site.runs(str(root), variants, scan)
    (out / PAPERS).mkdir(parents=True, exist_ok=True)
    for file, text in pages.items():
        file.write_text(text, encoding="utf-8")
    return list(pages), list(wrong.values())


def _shown(rows: Sequence[scoreboard.Row], views: Mapping[str, PaperView]) -> Iterator[Shown]:
    """The first papers that have one, a plot each."""
    found = 0
    for paper, _ in rows:
        table = next(filter(_worth_showing, views[paper.slug].tables), None)
        if table is not None and table.panel is not None:
            chart = site_chart.axis_chart(table.panel, site_chart.SMALL)
            href = link(Path(PAPERS) / f"{paper.slug}.html", Path()) + f"#{table.key}"
            yield Shown(paper, len(table.of_kind("finding")), chart, href)
            found += 1
        if found == MOST_SHOWN:
            return


def _worth_showing(table: TableView) -> bool:
    """Whether its theory is a curve of its own, not a line through the columns."""
    outcomes = {verdict.outcome for verdict in table.of_kind("finding")}
    if table.panel is None or outcomes != {"reproduced"}:
        return False
    lines = (curve for curve in table.panel.curves if curve.style == "line")
    return any(len(curve.x) > len(table.sheet.table.columns) for curve in lines)


def _refuse_others(out: Path) -> None:
    index = out / "index.html"
    if index.exists() and f'content="{GENERATOR}"' not in index.read_text("utf-8", "replace"):
        raise BadRequest(f"-o {out}: its index.html is not of `ppr report`; choose another folder")


class _Site:
    """The templates, and what all of them need."""

    def __init__(self) -> None:
        loader = PackageLoader("ppr.report")
        pages = Environment(
            loader=loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Our own files, and so the only text that is not escaped.
        style, script = (
            Markup(loader.get_source(pages, name)[0]) for name in ("style.css", "filter.js")
        )
        pages.globals |= {
            "generator": GENERATOR,
            "version": ppr.__version__,
            "style": style,
            "script": script,
            "policy": _policy(style, script),
            "outcomes": OUTCOMES,
            "kinds": KINDS,
            "untuned": UNTUNED,
            "named": named,
            "is_untuned": is_untuned,
            "sentences": sentences,
            "added": added,
            "multiverse": multiverse,
            "robustness": robustness,
            "curve_of": specification.curve,
            "number": specification.number,
            "others": others,
            "left": site_chart.LEFT,
            "top_room": site_chart.TOP,
        }
        pages.filters |= {
            "reproduced": sheet.reproduced,
            "reported": sheet.reported,
            "difference": sheet.difference,
            "missing": _missing,
            "prose": _prose,
            "sentence": lambda text: text[:1].upper() + text[1:] if text[:2].islower() else text,
            "held": lambda filled: [c for c in filled.table.columns if filled.has_reported(c)],
        }
        pages.tests["web"] = is_web
        self._pages = pages

    def _render(self, template: str, **content: Any) -> str:
        return self._pages.get_template(template).render(content) + "\n"

    def reported(self, paired: Paired) -> str:
        return self._render("reported.html", paired=paired)

    def index(
        self,
        board: Sequence[scoreboard.Row],
        shown: Sequence[Shown],
        paired: Paired,
        scan: Scan,
    ) -> str:
        rows = [
            BoardRow(
                paper=paper,
                standing=standing,
                href=link(Path(PAPERS) / f"{paper.slug}.html", Path()),
                tags=_tags(paper, standing),
                weight=_weight(standing),
            )
            for paper, standing in board
        ]
        return self._render(
            "index.html",
            rows=rows,
            shown=shown,
            paired=paired,
            tested=sum(row.paper.has_tables for row in rows),
            totals={scale: scoreboard.total(board, scale) for scale in SCALES},
            families=sorted({row.paper.family for row in rows}),
            standings=["with tables", "planned", *OUTCOMES, CONTRADICTED],
            runs=sum(record.state == "finished" for record in scan.records),
            problems=len(scan.problems),
        )

    def paper(self, view: PaperView) -> str:
        return self._render("paper.html", view=view)

    def runs(self, root: str, variants: list[tuple[VariantView, list[str]]], scan: Scan) -> str:
        problems = [str(problem) for problem in scan.problems]
        return self._render("runs.html", root=root, variants=variants, problems=problems)


def _prose(text: str) -> Markup:
    """A note as it is meant: `names` as code, +- as the sign; all else escaped."""
    parts = re.split(r"`([^`]+)`", text.replace("+-", "±"))
    marked = (f"<code>{escape(part)}</code>" if at % 2 else escape(part)
              for at, part in enumerate(parts))  # fmt: skip
    return Markup("".join(map(str, marked)))


def _missing(filled: sheet.Sheet) -> list[tuple[str, str]]:
    """The commands of the cells that can be run."""
    places = {
        row: {column: cell for column, cell in cells.items() if cell.variant}
        for row, cells in filled.places.items()
    }
    return sheet.commands(sheet.Sheet(filled.paper, filled.name, filled.table, places))


def _tags(paper: Reference, standing: Standing) -> list[str]:
    kinds = added(standing.verdicts.values())
    found = set(kinds.get("finding", {}))
    found |= {CONTRADICTED} if kinds.get("against", {}).get("reproduced") else set()
    return ["with tables" if paper.has_tables else "planned", *sorted(found)]


def _weight(standing: Standing) -> int:
    """More reproduced findings first; what has been run before what has not."""
    found = added(standing.verdicts.values()).get("finding", {})
    return -sum(
        (1000 if outcome == "reproduced" else 1) * number
        for outcome, number in found.items()
        if outcome != "not run"
    )


def _policy(*sources: str) -> str:
    style, script = (
        "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        for source in sources
    )
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}';"
        " base-uri 'none'; form-action 'none'"
    )
