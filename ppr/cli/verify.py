"""`ppr verify`: check the records behind a paper's tables, and run some of them again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppr.cli import options
from ppr.cli.paper import print_verdicts
from ppr.cli.papers import resolve
from ppr.cli.table import print_sheet
from ppr.cli.words import PAPER
from ppr.errors import BadRequest, PprError
from ppr.papers.board import fill_tables
from ppr.papers.cells import Filled, Results
from ppr.papers.claims import judge
from ppr.papers.files import folders, load
from ppr.report.sheet import fill
from ppr.report.terminal import Cell, count, print_table
from ppr.results.tree import results_root, scan

if TYPE_CHECKING:
    from ppr.results.tree import Scan

STYLES = {"identical": "green", "within": "green", "outside": "red", "undecided": "yellow"}


@click.command(name="verify")
@click.argument("slug", type=PAPER, metavar="PAPER")
@click.option("--rerun", type=click.IntRange(min=1), metavar="N", help="Do N of the runs again.")
@click.option("--sample-seed", default=0, show_default=True, help="Chooses the runs to do again.")
@options.results
@options.config_dir
def command(slug: str, rerun: int | None, sample_seed: int, root: str | None) -> int:
    """Check every record behind a paper's tables, and recompute cells and verdicts from them.

    \b
      ppr verify supcon
      ppr verify supcon --rerun 2

    A record must fit its digest (over results, config, code and environment), and its config must
    hash to its variant. A run done again should give the same numbers to the last bit on the
    machine that it was recorded on, and elsewhere fall among its seeds (a 95 % prediction
    interval). Exit code 1 if anything is off.
    """
    from ppr.papers.verify import changed, sound

    paper = load(slug, folders())
    seen = scan(results_root(root))
    tables, problems = fill_tables(paper, Results(resolve, seen))
    shown = [cell for cells in tables.values() for cell in cells]
    if not any(cell.records for cell in shown):
        nothing = f"{slug}: no finished run behind its cells; ppr reproduce {slug}"
        raise BadRequest(problems[0] if problems else nothing)
    good, wrong = sound(seen, {(cell.experiment, cell.variant) for cell in shown})
    results = Results(resolve, good)
    wrong += changed(shown, [results.fill(cell.cell) for cell in shown])
    for name, cells in tables.items():
        if any(cell.records for cell in cells):
            print_sheet(fill(paper, name, results))
    verdicts = judge(paper, results)
    if verdicts:
        print_verdicts(verdicts)
    click.echo()
    for problem in problems:
        click.echo(f"left out: {problem}")
    if rerun:
        wrong += _rerun(good, shown, rerun, sample_seed)
    for line in wrong:
        click.echo(f"OFF  {line}")
    said = f"{count(len(good.records), 'record')} verified"
    click.echo(f"{slug}: {said}, {count(len(wrong), 'thing')} off" if wrong else f"{slug}: {said}")
    return 1 if wrong else 0


def _rerun(good: Scan, shown: list[Filled], number: int, seed: int) -> list[str]:
    """Do a sample of the runs again, print how they fall; what is off."""
    from ppr.engine.interrupts import Interrupted
    from ppr.papers.records import label
    from ppr.papers.verify import compare, rerun, sample

    behind = {label(record) for cell in shown for record in cell.records}
    records = [record for record in good.records if label(record) in behind]
    metrics: dict[tuple[str, str], dict[str, None]] = {}
    for cell in shown:
        metrics.setdefault((cell.experiment, cell.variant), {})[cell.cell.metric] = None
    pairs, wrong = [], []
    with tempfile.TemporaryDirectory(prefix="ppr-verify-") as folder:
        for record in sample(records, number, seed):
            click.echo(f"again: {record.experiment} seed={record.seed}")
            try:
                pairs.append((record, rerun(record, Path(folder))))
            except Interrupted:
                raise
            except PprError as error:
                wrong.append(f"{label(record)}: cannot be done again: {error}")
    found = compare(pairs, metrics, good)
    rows: list[list[Cell]] = [
        [c.run, c.metric, c.recorded, c.again, c.low, c.high, c.fall] for c in found
    ]
    if rows:
        print_table(
            ["run", "metric", "recorded", "again", "from", "to", "falls"], rows, styles=STYLES
        )
    wrong += [
        f"{c.run}: {c.metric} is {c.again!r} when done again, recorded {c.recorded!r}, "
        f"expected {c.low:.4g} to {c.high:.4g}"
        for c in found
        if c.fall == "outside"
    ]
    return wrong
