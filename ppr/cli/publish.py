"""`ppr publish`: the records behind a paper's cells, in one file to commit."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ppr.cli import options
from ppr.cli.papers import resolve
from ppr.cli.words import PAPER
from ppr.commands import command_line
from ppr.config.places import results_root
from ppr.display.terminal import count
from ppr.errors import BadRequest
from ppr.papers.board import fill_tables
from ppr.papers.cells import Results
from ppr.papers.files import find, folders, load
from ppr.results import attestations, roundings
from ppr.results.roundings import Rounding
from ppr.results.tree import scan


@click.command(name="publish")
@click.argument("slug", type=PAPER, metavar="PAPER")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to write PAPER.jsonl [the results tree].",
)
@click.option(
    "--sign",
    is_flag=False,
    flag_value="",
    metavar="[KEY]",
    help="Sign the file with an OpenSSH key [git's user.signingkey].",
)
@options.results
@options.config_dir
def command(slug: str, to: Path | None, sign: str | None, root: str | None) -> None:
    """Write the finished runs behind a paper's cells to PAPER.jsonl, a line a run, to be committed.

    Beside the paper, the index of its cells is renewed, where that folder can be written to.

    \b
      ppr publish supcon
      ppr publish supcon --to results
      ppr publish supcon --to results --sign ~/.ssh/id_ed25519

    Every command reads such files in the results tree just as it reads live runs. A run whose
    record does not verify is refused. What runs done again have shown of them goes with them.
    --sign writes PAPER.jsonl.sig beside it, an OpenSSH signature that `ppr verify` checks.
    """
    from ppr.papers.index import write_index
    from ppr.papers.multiverse import filled
    from ppr.papers.publish import publish, records_of
    from ppr.papers.signatures import beside, signing_key
    from ppr.papers.signatures import sign as sign_file
    from ppr.papers.tuned import tuning_runs

    key = None if sign is None else signing_key(sign)
    where = results_root(root)
    paper = load(slug, folders())
    seen = scan(where)
    results = Results(resolve, seen)
    tables, problems = fill_tables(paper, results)
    shown = [cell for cells in tables.values() for cell in cells]
    records = records_of([*tuning_runs(paper, results), *shown, *filled(paper, results)], seen)
    if not records:
        nothing = f"{slug}: no finished run behind its cells; {command_line('reproduce', slug)}"
        raise BadRequest(problems[0] if problems else nothing)
    for problem in problems:
        click.echo(f"ppr: left out: {problem}", err=True)
    file = (to or where) / f"{slug}.jsonl"
    before = file.read_bytes() if file.exists() else b""
    size = publish(records, file)
    known = {record.summary["digest"] for record in records}
    if to:
        there = [record.summary.get("digest") for record in scan(to).records]
        if carried := [each for each in seen.attestations if each.record in known]:
            attestations.add(to, carried, there)
        if turned := [each for each in seen.roundings if each.record in known]:
            attestations.add_lines(to, Rounding, roundings.FILE, turned, there)
    own = find(slug, folders())
    if os.access(own.parent, os.W_OK):
        write_index(own, seen)
    click.echo(f"{count(len(records), 'run')}, {size / 1000:.0f} kB, written to {file}")
    if key:
        click.echo(f"signed: {sign_file(file, key)}")
    elif beside(file).exists() and file.read_bytes() != before:
        beside(file).unlink()
        click.echo(
            f"ppr: the records are others than were signed: {beside(file)} removed", err=True
        )
