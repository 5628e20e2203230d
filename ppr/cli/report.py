"""`ppr report`: the results as a static site, and the scoreboard as Markdown."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.cli import options
from ppr.cli.papers import resolve
from ppr.config.places import results_root
from ppr.errors import BadRequest
from ppr.papers.board import board
from ppr.papers.files import folders
from ppr.results.files import write_atomic
from ppr.results.tree import scan


@click.command(name="report")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the site there [site].",
)
@click.option(
    "--scoreboard",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the scoreboard as Markdown, and the site only with -o.",
)
@click.option(
    "--readme",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Write its counts, and a few reported values, between the two marks in it.",
)
@options.results
@options.config_dir
def command(
    *, output: Path | None, scoreboard: Path | None, readme: Path | None, root: str | None
) -> None:
    """Write a static site: the scoreboard, and a page a paper.

    \b
      ppr report
      ppr report -o site/ --scoreboard results/README.md --readme README.md
    """
    where = results_root(root)
    if root and not where.is_dir():
        raise BadRequest(f"--results {root}: no such folder")
    if scoreboard:
        from ppr.report.scoreboard import markdown

        if not scoreboard.parent.is_dir():
            raise BadRequest(f"--scoreboard {scoreboard}: no folder {scoreboard.parent}")
        write_atomic(scoreboard, markdown(board(folders(), where, resolve), scoreboard.parent))
        click.echo(f"scoreboard written to {scoreboard}")
    if readme:
        from ppr.report.scoreboard import readme as renewed

        try:
            text = renewed(
                readme.read_text("utf-8"), board(folders(), where, resolve), readme.parent
            )
        except BadRequest as error:
            raise BadRequest(f"--readme {readme}: {error}") from None
        write_atomic(readme, text)
        click.echo(f"counts written to {readme}")
    if output or not (scoreboard or readme):
        from ppr.report.site import write_site

        output = output or Path("site")
        pages, wrong = write_site(output, where, folders(), resolve, scan(where))
        for problem in wrong:
            click.echo(f"ppr: left out: {problem}", err=True)
        click.echo(f"{len(pages)} pages written to {output}; open {output / 'index.html'}")
