"""`ppr table`: a paper's tables from the results tree, reported beside reproduced."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable

import click

from ppr.cli import options
from ppr.cli.papers import resolve
from ppr.cli.words import TABLE
from ppr.commands import command_line
from ppr.config.places import results_root
from ppr.display.plot import draw
from ppr.display.terminal import Cell, print_table
from ppr.errors import BadRequest, choices
from ppr.papers.cells import Results
from ppr.papers.files import folders, load
from ppr.report import formats
from ppr.report.axis import axis_panel
from ppr.report.sheet import Sheet, commands, fill, notes
from ppr.results.tree import scan

PAGES: dict[str, Callable[[Sheet], str]] = {
    "md": formats.markdown,
    "latex": formats.latex,
    "html": formats.html_page,
}


@click.command(name="table")
@click.argument("name", type=TABLE, metavar="PAPER[/TABLE]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "md", "latex", "csv", "json", "html"]),
    default="terminal",
    help="latex and html are one document a table.",
)
@click.option("--fragment", is_flag=True, help="Of latex the table alone, without notes.")
@click.option("--runs", is_flag=True, help="Print the run directories behind each cell.")
@options.results
@options.config_dir
def command(*, name: str, form: str, fragment: bool, runs: bool, root: str | None) -> None:
    """Render a paper's tables, reported beside reproduced.

    \b
      ppr table supcon
      ppr table supcon/cifar --format latex > cifar.tex
      ppr table supcon/digits --format latex --fragment
      ppr table supcon/digits --runs
    """
    slug, _, table = name.partition("/")
    paper = load(slug, folders())
    if not paper.tables:
        raise BadRequest(
            f"paper {slug!r} has no tables yet; {command_line('paper', slug)} shows what is planned"
        )
    if table and table not in paper.tables:
        raise BadRequest(f"{name}: no table {table!r}; {choices(table, paper.tables)}")
    if form in ("latex", "html") and not table and len(paper.tables) > 1:
        raise BadRequest(
            f"--format {form} is one table: {slug}/{f' or {slug}/'.join(paper.tables)}"
        )
    if fragment and form != "latex":
        raise BadRequest("--fragment: of --format latex only")
    results = Results(resolve, scan(results_root(root)))
    sheets = [fill(paper, key, results) for key in ([table] if table else paper.tables)]
    if runs:
        for sheet in sheets:
            _print_runs(sheet)
    elif form == "json":
        click.echo(formats.as_json(sheets), nl=False)
    elif form == "csv":
        click.echo(formats.as_csv(sheets), nl=False)
    elif fragment:
        click.echo(formats.latex(sheets[0], fragment=True), nl=False)
    elif form == "terminal":
        for sheet in sheets:
            print_sheet(sheet)
    else:
        click.echo("\n".join(PAGES[form](sheet) for sheet in sheets), nl=False)


def print_sheet(sheet: Sheet) -> None:
    """The table, drawn where it has an axis, its notes, and the commands that fill it."""
    # The mark makes the best cells' text their own, so that no other cell turns bold.
    body = formats.lines(sheet, lambda text: f"{text} *", str)
    styles = {cell: "bold" for row in body for cell in row if cell.endswith(" *")}
    columns = formats.header(sheet)
    if sys.stdout.isatty() and _width([columns, *body]) > shutil.get_terminal_size().columns:
        columns, body = _one_line_a_cell(sheet, body)
    rows: list[list[Cell]] = [list(row) for row in body]
    print_table(columns, rows, title=sheet.title, styles=styles)
    if panel := axis_panel(sheet):
        width = min(shutil.get_terminal_size((80, 24)).columns, 120)
        click.echo(draw(panel, width, colour=sys.stdout.isatty()) + "\n")
    for note in notes(sheet):
        click.echo(note)
    for place, line in commands(sheet):
        click.echo(f"Missing, {place}: {line}")
    click.echo()


def _width(lines: list[list[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(*lines, strict=True))


def _one_line_a_cell(sheet: Sheet, body: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The same for a terminal too narrow for the paper's own columns."""
    long = []
    for row, *shown in body:
        texts = iter(shown)
        for column in sheet.table.columns:
            width = 3 if sheet.has_reported(column) else 1
            cell = [next(texts) for _ in range(width)]
            long.append([row, column, *cell, *[""] * (3 - width)])
    return ["", "column", "reproduced", "reported", "difference"], long


def _print_runs(sheet: Sheet) -> None:
    rows: list[list[Cell]] = [
        [filled.cell.row, filled.cell.column, record.seed, str(record.path or record.source)]
        for filled in sheet.cells
        for record in filled.records
    ]
    print_table(["row", "column", "seed", "run"], rows, title=f"{sheet.paper.slug}/{sheet.name}")
