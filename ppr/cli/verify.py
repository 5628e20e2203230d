"""`ppr verify`: check the records behind papers' tables, and run some of them again."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppr.cli import options
from ppr.cli.paper import print_verdicts
from ppr.cli.table import print_sheet
from ppr.cli.words import PAPER
from ppr.commands import command_line
from ppr.config.places import results_root
from ppr.display.terminal import Cell, count, print_table
from ppr.errors import BadRequest, PprError
from ppr.papers.cache import Variants
from ppr.papers.cells import Results
from ppr.papers.claims import judge
from ppr.papers.files import find_all, folders, load, read, reference
from ppr.papers.records import label
from ppr.papers.words import composed
from ppr.report.sheet import fill
from ppr.results.tree import published_files, scan

if TYPE_CHECKING:
    from ppr.papers.verify import Checked
    from ppr.results.tree import Record, Scan

STYLES = {"identical": "green", "within": "green", "outside": "red"}


@click.command(name="verify")
@click.argument("slugs", type=PAPER, metavar="[PAPER]...", nargs=-1)
@click.option("--rerun", type=click.IntRange(min=1), metavar="N", help="Do N of the runs again.")
@click.option(
    "--threads",
    type=click.IntRange(min=2),
    metavar="N",
    help="Do them with 1 thread and with N, and keep what the order of sums decides.",
)
@click.option("--sample-seed", default=0, show_default=True, help="Chooses the runs to do again.")
@click.option("--attest", is_flag=True, help="Do runs again whose components' code has changed.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Of these, runs at a time.")
@options.results
@options.config_dir
def command(
    slugs: tuple[str, ...],
    rerun: int | None,
    threads: int | None,
    sample_seed: int,
    attest: bool,
    jobs: int,
    root: str | None,
) -> int:
    """Check every record behind papers' tables, of all papers if none is named.

    \b
      ppr verify
      ppr verify supcon
      ppr verify supcon --rerun 2
      ppr verify supcon --rerun 2 --threads 2
      ppr verify --attest --jobs 2

    A record must fit its digest (over results, config, code and environment), its config must hash
    to its variant, the cells must have the seeds that their table states, the words of a cell must
    lead where the index says, and no record may be published that no cell asks for. Exit code 1 if
    anything is off. Cells of older code than today's are marked OLD. Of one paper, the tables and
    verdicts are printed too, from the sound records.

    A number that was changed together with the digest over it can be found by doing the run again
    alone: --rerun holds a sample of the runs against their own records. On the processor and
    versions that a run was recorded with it must give the same bits; elsewhere, or where the record
    names no processor, it may differ by what other instruction sets have been seen to make of it.

    With --threads each of the sample is done twice, with 1 thread and with N, so that nothing but
    the order of sums differs. What differs is kept beside the records; a cell that this moves by
    more than its seeds differ (four standard deviations) is said to turn with the rounding, and no
    verdict rests on it.

    A signature beside published records is checked, and says who stands for them: `ppr publish
    --sign`. Who may sign stands in git's gpg.ssh.allowedSignersFile, or in `allowed_signers` beside
    the records.

    That code has changed says nothing of the numbers: --attest does the fewest and fastest runs
    again that have all the changes of their experiment's components, and keeps what came of each
    beside the records. Where it is the same, cells are no longer marked. One that gives other bits
    than its record is done with the code of the record's commit too: what differs then on one
    machine, the code has changed. Broken off, the same command goes on.
    """
    from ppr.papers.verify import check, misattested

    _refuse(attest, rerun, threads)
    where = folders()
    files = find_all(where)
    for slug in slugs:
        load(slug, where)  # refuses an unknown one
    chosen = slugs or [slug for slug, file in files.items() if reference(file).has_tables]
    seen = scan(results_root(root))
    own = Variants(composed, shipped=False)
    found = [check(read(files[slug]), files[slug], seen, own) for slug in chosen]
    failed: list[str] = []
    if attest:
        failed = _attest(found, seen, results_root(root), jobs)
        seen = scan(results_root(root))
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
    for slug, line in ((each.paper.slug, line) for each in run for line in each.old):
        click.echo(f"OLD  {slug}: {line}; {command_line('reproduce', slug, '--renew')}")
    off = [line if alone else f"{each.paper.slug}: {line}" for each in run for line in each.off]
    off += [*misattested(seen), *failed]
    signers, unsound = _signatures(published_files(results_root(root)), chosen)
    off += unsound
    behind = [record for each in run for record in each.records]
    if rerun and threads:
        off += _rounding(behind, rerun, sample_seed, seen, results_root(root), threads)
    elif rerun:
        off += _rerun(behind, rerun, sample_seed)
    for line in off:
        click.echo(f"OFF  {line}")
    records = len({label(record) for each in run for record in each.records})
    cells = sum(len(filled) for each in run for filled in each.filled.values())
    name = slugs[0] if alone else count(len(run), "paper")
    said = f"{name}: {count(records, 'record')} behind {count(cells, 'cell')} verified"
    shown = [cell for each in run for cell in each.shown]
    if older := sum(bool(cell.older) for cell in shown):
        said += f", {older} of other code"
    if attested := sum(bool(cell.attested) and not cell.older for cell in shown):
        said += f", {attested} of other code that gives the same numbers"
    said += "".join(f", {count(n, 'file')} signed by {who}" for who, n in signers.items())
    click.echo(f"{said}, {count(len(off), 'thing')} off" if off else said)
    return 1 if off else 0


def _refuse(attest: bool, rerun: int | None, threads: int | None) -> None:
    if attest and rerun:
        raise BadRequest("--attest chooses its runs, --rerun draws them: give one of the two")
    if threads and not rerun:
        raise BadRequest("--threads: of how many runs? --rerun N --threads M")


def _signatures(files: Sequence[Path], slugs: Sequence[str]) -> tuple[Counter[str], list[str]]:
    """How many files of these papers' records each signer stands for; what is wrong with others."""
    from ppr.papers import signatures

    found = [signatures.read(file) for file in files if file.stem in slugs]
    signers = Counter(each.signer for each in found if each and each.signer)
    return signers, [each.wrong for each in found if each and each.wrong]


def _print_tables(checked: Checked, results: Results) -> None:
    for name, cells in checked.filled.items():
        if any(cell.records for cell in cells):
            print_sheet(fill(checked.paper, name, results))
    verdicts = judge(checked.paper, results)
    if verdicts:
        print_verdicts(checked.paper, verdicts)
    click.echo()


def _attest(found: Sequence[Checked], seen: Scan, root: Path, jobs: int) -> list[str]:
    """Do runs again whose components are of other code, keep what comes of each; what cannot be."""
    from ppr.launchers.plan import about
    from ppr.launchers.process import make_slots
    from ppr.papers.attest import attest, choose
    from ppr.papers.attested import Attested
    from ppr.results.attestations import add

    cells = [cell for each in found for cell in each.shown]
    chosen = choose(cells, Attested(seen), seen.attestations)
    seconds = sum(each.seconds for each in chosen)
    time = f": {about(seconds, jobs)} by their records" if chosen else ""
    click.echo(f"{count(len(chosen), 'run')} to do again{time}")
    digests = [record.summary["digest"] for record in seen.records if "digest" in record.summary]
    os.environ.update(make_slots(jobs, [])[0])  # the share of the cores, for the processes
    failed = []
    with tempfile.TemporaryDirectory(prefix="ppr-attest-") as folder:
        for at, each in enumerate(attest(chosen, Path(folder), jobs), start=1):
            place = f"[{at}/{len(chosen)}]"
            if isinstance(each, str):
                failed.append(each)
                click.echo(f"{place} {each}")
                continue
            add(root, [each], digests)
            moved = each.metrics if each.control is None else each.control
            fate = f"other values: {', '.join(moved)}" if moved else "the same bits"
            if each.metrics and each.control == {}:
                fate += " as its own commit gives here"
            click.echo(f"{place} {each.experiment}/{each.variant}/seed={each.seed}: {fate}")
    return failed


def _rounding(
    records: Sequence[Record], number: int, seed: int, seen: Scan, root: Path, threads: int
) -> list[str]:
    """Do a sample of the runs with two numbers of threads, keep what differs; what cannot be."""
    from ppr.papers.again import sample
    from ppr.papers.threads import with_threads
    from ppr.results.attestations import add_lines
    from ppr.results.roundings import FILE, Rounding

    digests = [record.summary["digest"] for record in seen.records if "digest" in record.summary]
    failed = []
    with tempfile.TemporaryDirectory(prefix="ppr-verify-") as folder:
        chosen = sample(records, number, seed)
        for each in with_threads(chosen, (1, threads), Path(folder)):
            if isinstance(each, str):
                failed.append(each)
                continue
            add_lines(root, Rounding, FILE, [each], digests)
            moved = [f"{m} {each.one[m]} and {each.other[m]}" for m in list(each.one)[:3]]
            fate = f"1 and {threads} threads give {'; '.join(moved) or 'the same bits'}"
            more = f"; {len(each.one) - 3} more" if len(each.one) > 3 else ""
            click.echo(f"{each.experiment}/{each.variant}/seed={each.seed}: {fate}{more}")
    return failed


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
