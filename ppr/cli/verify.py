"""`ppr verify`: check the records behind papers' tables, and run some of them again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppr.cli import options
from ppr.cli.paper import print_verdicts
from ppr.cli.papers import composed
from ppr.cli.table import print_sheet
from ppr.cli.words import PAPER
from ppr.commands import command_line
from ppr.display.terminal import Cell, count, print_table
from ppr.errors import BadRequest, PprError
from ppr.papers.cache import Variants
from ppr.papers.cells import Results
from ppr.papers.claims import judge
from ppr.papers.files import find_all, folders, load, read, reference
from ppr.papers.records import label
from ppr.report.sheet import fill
from ppr.results.tree import results_root, scan

if TYPE_CHECKING:
    from ppr.papers.verify import Checked
    from ppr.results.tree import Record

STYLES = {"identical": "green", "within": "green", "outside": "red"}


@click.command(name="verify")
@click.argument("slugs", type=PAPER, metavar="[PAPER]...", nargs=-1)
@click.option("--rerun", type=click.IntRange(min=1), metavar="N", help="Do N of the runs again.")
@click.option("--sample-seed", default=0, show_default=True, help="Chooses the runs to do again.")
@options.results
@options.config_dir
def command(slugs: tuple[str, ...], rerun: int | None, sample_seed: int, root: str | None) -> int:
    """Check every record behind papers' tables, of all papers if none is named.

    \b
      ppr verify
      ppr verify supcon
      ppr verify supcon --rerun 2

    A record must fit its digest (over results, config, code and environment), its config must hash
    to its variant, the cells must have the seeds that their table states, the words of a cell must
    lead where the index says, and no record may be published that no cell asks for. Exit code 1 if
    anything is off. Cells of older code than today's are marked OLD. Of one paper, the tables and
    verdicts are printed too, from the sound records.

    A number that was changed together with the digest over it can be found by doing the run again
    alone: --rerun holds a sample of the runs against their own records. On the processor and
    versions that a run was recorded with it must give the same bits; elsewhere, or where the record
    names no processor, it may differ by what other instruction sets have been seen to make of it.
    """
    from ppr.papers.verify import check

    where = folders()
    files = find_all(where)
    for slug in slugs:
        load(slug, where)  # refuses an unknown one
    chosen = slugs or [slug for slug, file in files.items() if reference(file).has_tables]
    seen = scan(results_root(root))
    own = Variants(composed, shipped=False)
    found = [check(read(files[slug]), files[slug], seen, own) for slug in chosen]
    run = [checked for checked in found if checked.records or checked.off]
    if not run:
        told = next((line for checked in found for line in checked.told), "")
        nothing = f"no finished run behind its cells; {command_line('reproduce', *chosen[:1])}"
        raise BadRequest(f"{', '.join(slugs) or 'all papers'}: {told or nothing}")
    alone = len(slugs) == 1
    if alone:
        _print_tables(run[0], Results(own, seen))
        for line in run[0].told:
            click.echo(line)
    for each in run:
        for line in each.old:
            again = command_line("reproduce", each.paper.slug, "--renew")
            click.echo(f"OLD  {each.paper.slug}: {line}; {again}")
    off = [line if alone else f"{each.paper.slug}: {line}" for each in run for line in each.off]
    if rerun:
        off += _rerun([record for each in run for record in each.records], rerun, sample_seed)
    for line in off:
        click.echo(f"OFF  {line}")
    records = len({label(record) for each in run for record in each.records})
    cells = sum(len(filled) for each in run for filled in each.filled.values())
    name = slugs[0] if alone else count(len(run), "paper")
    said = f"{name}: {count(records, 'record')} behind {count(cells, 'cell')} verified"
    click.echo(f"{said}, {count(len(off), 'thing')} off" if off else said)
    return 1 if off else 0


def _print_tables(checked: Checked, results: Results) -> None:
    for name, cells in checked.filled.items():
        if any(cell.records for cell in cells):
            print_sheet(fill(checked.paper, name, results))
    verdicts = judge(checked.paper, results)
    if verdicts:
        print_verdicts(verdicts)
    click.echo()


def _rerun(records: Sequence[Record], number: int, seed: int) -> list[str]:
    """Do a sample of the runs again, print how they fall; what is off."""
    from ppr.engine.interrupts import Interrupted
    from ppr.papers.again import compare, rerun, sample

    pairs, wrong = [], []
    with tempfile.TemporaryDirectory(prefix="ppr-verify-") as folder:
        for record in sample(records, number, seed):
            click.echo(f"again: {record.experiment} seed={record.seed}")
            try:
                again = rerun(record, Path(folder))
            except Interrupted:
                raise
            except PprError as error:
                wrong.append(f"{label(record)}: cannot be done again: {error}")
                continue
            pairs.append((record, again))
        found = compare(pairs, records)
    rows: list[list[Cell]] = [
        [c.run, c.metric, c.recorded, c.again, c.allowed, c.fall] for c in found
    ]
    if rows:
        print_table(["run", "metric", "recorded", "again", "allowed", "falls"], rows, styles=STYLES)
    return wrong + [
        f"{c.run}: {c.metric} is {c.again!r} when done again, recorded {c.recorded!r}, "
        + (f"may be off by {c.allowed:.2g}" if c.allowed else "must be the same bits")
        for c in found
        if c.fall == "outside"
    ]
