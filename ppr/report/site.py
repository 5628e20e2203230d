"""The static site of `ppr report`: a scoreboard, a page a paper, and the list of runs.

It opens from disk and asks the network for nothing: every page holds its own style, and a content
security policy allows that style and the scoreboard's one script by their hashes, and nothing else.
All that comes from data goes through Jinja's autoescape.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import ppr
from ppr.errors import BadRequest
from ppr.papers.board import Standing
from ppr.papers.board import standing as work_out
from ppr.papers.cells import Resolve, Results
from ppr.papers.claims import OUTCOMES
from ppr.papers.files import Reference, read, references
from ppr.papers.schema import SCALES
from ppr.report import scoreboard, sheet, site_chart
from ppr.report.site_paper import PaperView, VariantView, is_web, link, paper_view, run_view
from ppr.report.site_sweep import Sweeps
from ppr.results.tree import Scan

GENERATOR = "ppr report"
PAPERS = "paper"


@dataclass(frozen=True, slots=True)
class BoardRow:
    """`tags`: what the filter finds it by; `weight` sorts by verdict."""

    paper: Reference
    standing: Standing
    href: str
    tags: list[str]
    weight: int


def write_site(
    out: Path, root: Path, where: Sequence[Path], resolve: Resolve, scan: Scan
) -> tuple[list[Path], list[str]]:
    """Write every page into `out`; the same papers and runs give the same bytes.

    Returns the pages, and what is wrong with the files of the papers that have none.

    Raises:
        BadRequest: `out` has pages that are not of this command.
    """
    _refuse_others(out)
    results, swept = Results(resolve, scan), Sweeps(scan.records)
    board: list[scoreboard.Row] = []
    slugs: dict[tuple[str, str], list[str]] = {}
    pages: dict[Path, str] = {}
    site = _Site()
    papers, wrong = references(where)
    for found in papers:
        try:
            standing = work_out(found.path, results)[0] if found.has_tables else Standing()
            view = paper_view(read(found.path), standing, results, swept, out / PAPERS)
        except BadRequest as error:
            wrong[found.path] = str(error)
            continue
        board.append((found, standing))
        for variant in view.variants:
            slugs.setdefault((variant.experiment, variant.variant), []).append(found.slug)
        pages[out / PAPERS / f"{found.slug}.html"] = site.paper(view)
    variants = [(variant, slugs.get(key, [])) for key, variant in _variants(scan, out).items()]
    pages[out / "index.html"] = site.index(scoreboard.ordered(board), scan)
    pages[out / "runs.html"] = site.runs(str(root), variants, scan)
    (out / PAPERS).mkdir(parents=True, exist_ok=True)
    for file, text in pages.items():
        file.write_text(text, encoding="utf-8")
    return list(pages), list(wrong.values())


def _refuse_others(out: Path) -> None:
    index = out / "index.html"
    if index.exists() and f'content="{GENERATOR}"' not in index.read_text("utf-8", "replace"):
        raise BadRequest(f"-o {out}: its index.html is not of `ppr report`; choose another folder")


def _variants(scan: Scan, out: Path) -> dict[tuple[str, str], VariantView]:
    found: dict[tuple[str, str], VariantView] = {}
    for record in scan.records:
        key = (record.experiment, record.variant)
        view = found.setdefault(key, VariantView(*key, []))
        view.runs.append(run_view(record, out))
    return found


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
            "frame": {
                "width": site_chart.WIDTH,
                "height": site_chart.HEIGHT,
                "left": site_chart.LEFT,
                "top": site_chart.TOP,
                "inner": site_chart.INNER,
            },
        }
        pages.filters |= {
            "reproduced": sheet.reproduced,
            "reported": sheet.reported,
            "difference": sheet.difference,
            "missing": _missing,
            "held": lambda filled: [c for c in filled.table.columns if filled.has_reported(c)],
        }
        pages.tests["web"] = is_web
        self._pages = pages

    def _render(self, template: str, **content: Any) -> str:
        return self._pages.get_template(template).render(content) + "\n"

    def index(self, board: Sequence[scoreboard.Row], scan: Scan) -> str:
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
            tested=sum(row.paper.has_tables for row in rows),
            totals={scale: scoreboard.total(board, scale) for scale in SCALES},
            families=sorted({row.paper.family for row in rows}),
            standings=["with tables", "planned", *OUTCOMES],
            runs=sum(record.state == "finished" for record in scan.records),
            problems=len(scan.problems),
        )

    def paper(self, view: PaperView) -> str:
        keys = {table.name: table.key for table in view.tables}
        return self._render("paper.html", view=view, keys=keys)

    def runs(self, root: str, variants: list[tuple[VariantView, list[str]]], scan: Scan) -> str:
        problems = [str(problem) for problem in scan.problems]
        return self._render("runs.html", root=root, variants=variants, problems=problems)


def _missing(filled: sheet.Sheet) -> list[tuple[str, str]]:
    """The commands of the cells that can be run."""
    places = {
        row: {column: cell for column, cell in cells.items() if cell.variant}
        for row, cells in filled.places.items()
    }
    return sheet.commands(sheet.Sheet(filled.paper, filled.name, filled.table, places))


def _tags(paper: Reference, standing: Standing) -> list[str]:
    found = {outcome for counts in standing.verdicts.values() for outcome in counts}
    return ["with tables" if paper.has_tables else "planned", *sorted(found)]


def _weight(standing: Standing) -> int:
    """More reproduced claims first; what has been run before what has not."""
    counts = [
        (found.get("reproduced", 0), sum(found.values()) - found.get("not run", 0))
        for found in standing.verdicts.values()
    ]
    return -sum(1000 * reproduced + run for reproduced, run in counts)


def _policy(*sources: str) -> str:
    style, script = (
        "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        for source in sources
    )
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}';"
        " base-uri 'none'; form-action 'none'"
    )
