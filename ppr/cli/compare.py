"""`ppr compare`: two runs or experiments: what differs in config, metrics and curves."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from typing import Any

import click

from ppr.cli import options
from ppr.cli.papers import resolve
from ppr.cli.words import RECORDED
from ppr.config.places import results_root
from ppr.display.terminal import Cell, print_table
from ppr.errors import BadRequest
from ppr.papers.compare import Contrast, Side, config_difference, contrasts, side
from ppr.papers.sample_tests import SampleTest, sample_tests
from ppr.results.tree import Scan, scan


@click.command(name="compare")
@click.argument("first", type=RECORDED, metavar="RUN_A")
@click.argument("second", type=RECORDED, metavar="RUN_B")
@click.option("--metric", metavar="NAMES", help="Curves to draw: train/loss,validation/knn/top1.")
@click.option("--no-curves", is_flag=True, help="Leave the curves out.")
@options.results
@options.config_dir
@click.option("--json", "as_json", is_flag=True, help="Print JSON, without curves.")
def command(
    first: str, second: str, metric: str | None, no_curves: bool, root: str | None, as_json: bool
) -> None:
    """Compare two runs: config difference, metric difference with its test, curves.

    A RUN is a run directory, EXPERIMENT/VARIANT/seed=N, or a group of seeds: an experiment, which
    means its runs without overrides, or the start of a variant's id. Groups are compared by Welch's
    t-test, two-sided. Where both sides kept their predictions (evaluator.NAME.keep=true), they are
    compared sample by sample too: McNemar's exact test, and a bootstrap over the samples.

    \b
      ppr compare supcon_digits ce_digits
      ppr compare supcon_digits/d775cac660/seed=0 supcon_digits/d775cac660/seed=1
    """
    seen = scan(results_root(root))
    sides = side(seen, first, resolve), side(seen, second, resolve)
    differing = list(config_difference(*sides))
    found = contrasts(*sides)
    paired = sample_tests(*([record.path for record in each.records] for each in sides))
    if as_json:
        values = _values(sides, differing, found)
        values["samples"] = {each.evaluator: asdict(each) for each in paired}
        click.echo(json.dumps(values, indent=2))
        return
    click.echo(f"A: {sides[0].label}\nB: {sides[1].label}\n")
    if differing:
        rows: list[list[Cell]] = [
            [key, *(None if value is None else str(value) for value in pair)]
            for key, *pair in differing
        ]
        print_table(["config", "A", "B"], rows)
    else:
        click.echo("the configs do not differ")
    click.echo()
    print_table(["metric", "A", "B", "B - A", "p"], [_row(each) for each in found])
    if any(each.half_width is not None for each in found):
        click.echo(
            "± is a 95 % half-width (Student t; of B - A, Welch); p is two-sided, one metric"
        )
    else:
        click.echo("one seed a side has no spread: the differences have no test over seeds")
    if paired:
        _print_paired(paired)
    if not no_curves:
        _draw(seen, sides, metric)


def _row(found: Contrast) -> list[Cell]:
    spread = "" if found.half_width is None else f" ± {found.half_width:.2g}"
    p_value = None if found.p_value is None else f"{found.p_value:.2g}"
    shown = f"{found.difference:+.4g}{spread}"
    return [found.metric, str(found.first), str(found.second), shown, p_value]


def _print_paired(paired: list[SampleTest]) -> None:
    """Apart from the tests over seeds: it is another question."""
    click.echo()
    heads = ["top-1, sample by sample", "samples", "B - A", "95 % interval", "A alone", "B alone"]
    print_table(
        [*heads, "p"],
        [
            [
                each.evaluator,
                str(each.samples),
                f"{each.difference:+.4g}",
                f"{each.low:+.4g} to {each.high:+.4g}",
                None if each.first_alone is None else str(each.first_alone),
                None if each.second_alone is None else str(each.second_alone),
                None if each.p_value is None else f"{each.p_value:.2g}",
            ]
            for each in paired
        ],
    )
    ours, theirs = paired[0].networks
    click.echo(
        f"of these networks ({ours} and {theirs}) on other samples, and nothing of other seeds: "
        "the interval is a bootstrap over the samples"
        + ("; p is McNemar's, exact, two-sided" if ours == theirs == 1 else "")
    )


def _values(sides: tuple[Side, Side], differing: list[Any], found: list[Contrast]) -> Any:
    return {
        "runs": [each.label for each in sides],
        "config": {key: pair for key, *pair in differing},
        "metrics": {
            each.metric: {
                "means": [each.first.mean, each.second.mean],
                "n": [each.first.n, each.second.n],
                "difference": each.difference,
                "half_width": each.half_width,
                "p": each.p_value,
            }
            for each in found
        },
    }


def _draw(seen: Scan, sides: tuple[Side, Side], metric: str | None) -> None:
    from ppr.display.plot import Panel, draw
    from ppr.results.curves import curves, default_metrics, groups

    words = [
        str(each.records[0].path) if len(each.records) == 1 else each.records[0].variant
        for each in sides
    ]
    try:
        runs = groups(seen, list(dict.fromkeys(words)))
    except BadRequest as error:
        if metric:
            raise
        click.echo(f"\nno curves: {error}")
        return
    names = metric.split(",") if metric else default_metrics(runs)
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    for name in names:
        panel = Panel(name, *curves(runs, name))
        click.echo("\n" + draw(panel, width, colour=sys.stdout.isatty()))
