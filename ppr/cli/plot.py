"""`ppr plot`: draw the curves of runs, on the terminal or into a file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from ppr.cli import options
from ppr.cli.papers import resolve
from ppr.cli.words import DRAWN
from ppr.commands import command_line
from ppr.config.places import results_root
from ppr.display.plot import Panel, draw, save
from ppr.display.terminal import count
from ppr.errors import BadRequest, choices
from ppr.papers.cells import Results
from ppr.papers.claims import judge
from ppr.papers.files import find_all, folders, load
from ppr.papers.schema import Paper
from ppr.report import specification
from ppr.report.axis import axis_panel
from ppr.report.sheet import fill
from ppr.results.curves import curves, default_metrics, groups
from ppr.results.tree import Scan, scan


@click.command(name="plot")
@click.argument("runs", nargs=-1, required=True, type=DRAWN, metavar="RUN...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a figure instead: .svg, .png or .pdf.",
)
@click.option("--metric", metavar="NAMES", help="Metrics to draw: train/loss,validation/knn/top1.")
@options.results
@options.config_dir
def command(
    runs: tuple[str, ...], output: Path | None, metric: str | None, root: str | None
) -> None:
    """Draw the curves of runs.

    RUN is a run directory, the start of a variant's id, or an experiment: a curve a variant, the
    mean of its seeds with a 95 % interval. A paper's table whose columns lie along an axis is drawn
    as PAPER/TABLE, theory as lines and what was measured as points; a claim's specification curve,
    the effect in each universe of its multiverse, as PAPER/CLAIM.

    \b
      ppr plot supcon_digits
      ppr plot supcon_digits ce_digits --metric validation/knn/top1 -o curves.svg
      ppr plot ccem_siglip/optimum -o optimum.svg
      ppr plot psl/relu_beats_softmax_words
    """
    where = results_root(root)
    if root and not where.is_dir():
        raise BadRequest(f"--results {root}: no such folder")
    seen = scan(where)
    drawn = [of_it for run in runs if (of_it := _of_a_paper(run, seen))]
    if drawn:
        if len(runs) > 1 or metric:
            raise BadRequest("a table or claim is drawn alone: nothing beside it, and no --metric")
        if isinstance(drawn[0], Panel):
            _show([drawn[0]], output)
        else:
            _show_curve(drawn[0], output)
        return
    found = groups(seen, runs)
    if seen.problems:  # one of them may be a seed that is missed here
        problems = count(len(seen.problems), "run")
        click.echo(f"left out, unreadable: {problems}; `ppr results` tells which", err=True)
    names = metric.split(",") if metric else default_metrics(found)
    _show([Panel(name, *curves(found, name)) for name in names], output)


def _of_a_paper(word: str, seen: Scan) -> Panel | specification.Curve | None:
    """The plot of PAPER/TABLE or PAPER/CLAIM; None for what names runs."""
    slug, slash, name = word.partition("/")
    if not slash or slug not in find_all(folders(), {}):
        return None
    paper = load(slug, folders())
    if name in paper.claims and (name not in paper.tables or not paper.tables[name].axis):
        return _curve(word, paper, name, Results(resolve, seen))
    if name not in paper.tables:
        known = [*paper.tables, *paper.claims]
        raise BadRequest(f"{word}: {slug} has no such table or claim; {choices(name, known)}")
    if paper.tables[name].axis is None:
        raise BadRequest(f"{word}: the table has no axis to be drawn along; ppr table prints it")
    panel = axis_panel(fill(paper, name, Results(resolve, seen)))
    if panel is None:
        does = command_line("reproduce", word)
        raise BadRequest(f"{word}: none of its runs is here; {does} does them")
    return panel


def _curve(word: str, paper: Paper, name: str, results: Results) -> specification.Curve:
    (verdict,) = (each for each in judge(paper, results) if each.claim == name)
    found = specification.curve(paper, verdict)
    if found is None or len(found.specs) < 2:
        why = verdict.multiverse.problem or verdict.multiverse.none
        does = command_line("reproduce", f"{paper.slug}/{verdict.table}")
        raise BadRequest(f"{word}: no universe of it has run; {why or f'{does} runs them'}")
    return found


def _show_curve(curve: specification.Curve, output: Path | None) -> None:
    if output:
        specification.save(curve, output)
        click.echo(f"{count(len(curve.specs) - 1, 'universe')} written to {output}")
    else:
        click.echo("\n".join(specification.lines(curve)))


def _show(panels: list[Panel], output: Path | None) -> None:
    if output:
        save(panels, output)
        click.echo(f"{count(len(panels), 'panel')} written to {output}")
        return
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    for panel in panels:
        click.echo(draw(panel, width, colour=sys.stdout.isatty()) + "\n")
