"""`ppr plot`: draw the curves of runs, on the terminal or into a file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from ppr.errors import BadRequest
from ppr.report.plot import Panel, draw, save
from ppr.report.terminal import count
from ppr.results.curves import curves, default_metrics, groups
from ppr.results.tree import results_root, scan


@click.command(name="plot")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a figure instead: .svg, .png or .pdf.",
)
@click.option("--metric", metavar="NAMES", help="Metrics to draw: train/loss,validation/knn/top1.")
@click.option("--results", "root", metavar="DIR", help="The results tree [PPR_RESULTS or results].")
def command(
    runs: tuple[str, ...], output: Path | None, metric: str | None, root: str | None
) -> None:
    """Draw the curves of runs.

    RUN is a run directory, the start of a variant's id, or an experiment: a curve a variant, the
    mean of its seeds with a 95 % interval.

    \b
      ppr plot supcon_digits
      ppr plot supcon_digits ce_digits --metric validation/knn/top1 -o curves.svg
    """
    where = results_root(root)
    if root and not where.is_dir():
        raise BadRequest(f"--results {root}: no such folder")
    seen = scan(where)
    found = groups(seen, runs)
    if seen.problems:  # one of them may be a seed that is missed here
        problems = count(len(seen.problems), "run")
        click.echo(f"left out, unreadable: {problems}; `ppr results` tells which", err=True)
    names = metric.split(",") if metric else default_metrics(found)
    panels = [Panel(name, *curves(found, name)) for name in names]
    if output:
        save(panels, output)
        click.echo(f"{count(len(panels), 'panel')} written to {output}")
        return
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    for panel in panels:
        click.echo(draw(panel, width, colour=sys.stdout.isatty()) + "\n")
