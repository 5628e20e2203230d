"""`ppr reproduce`: run what a paper's tables lack, then print them and the verdicts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.cli import options
from ppr.cli.paper import print_curves, print_verdicts
from ppr.cli.papers import resolve
from ppr.cli.table import print_sheet
from ppr.cli.words import TABLE, WORDS
from ppr.commands import command_line
from ppr.config.places import results_root
from ppr.display.terminal import Cell, count, print_table
from ppr.errors import BadRequest
from ppr.papers.board import fill_tables
from ppr.papers.cells import Results
from ppr.papers.claims import judge
from ppr.papers.files import folders, load
from ppr.papers.parts import PARTS, Part
from ppr.papers.schema import Paper
from ppr.papers.table_schema import SCALES
from ppr.report.sheet import fill
from ppr.results.leftovers import drop_leftovers
from ppr.results.tree import Scan, scan

if TYPE_CHECKING:
    from ppr.config.composed import Config
    from ppr.papers.cells import Filled
    from ppr.papers.reproduce import Agenda


@click.command(name="reproduce")
@click.argument("name", type=TABLE, metavar="PAPER[/TABLE]")
@click.argument("words", nargs=-1, type=WORDS, metavar="[KEY=VALUE]...")
@click.option(
    "--seeds", type=click.IntRange(min=1), help="The first so many seeds a cell, or a later look."
)
@click.option("--scale", type=click.Choice(SCALES), help="Tables of this scale [desk].")
@click.option("--part", type=click.Choice(PARTS), help="Run this part alone [all of them].")
@click.option("--dry-run", is_flag=True, help="Say what is missing and how long it takes, only.")
@click.option("--yes", is_flag=True, help="Start runs of paper scale on this machine's CPU too.")
@click.option("--own", is_flag=True, help="Leave published runs out: run what they answer too.")
@click.option("--renew", is_flag=True, help="Run again what was recorded with older code.")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at a time on this machine.")
@options.results
@options.config_dir
def command(
    name: str,
    words: tuple[str, ...],
    seeds: int | None,
    scale: str | None,
    part: Part | None,
    dry_run: bool,
    yes: bool,
    own: bool,
    renew: bool,
    jobs: int | None,
    root: str | None,
) -> int:
    """Run what a paper's tables lack, then print them with the verdicts on its claims.

    \b
      ppr reproduce supcon/digits --dry-run
      ppr reproduce supcon --seeds 3 --jobs 2
      ppr reproduce supcon --scale paper launcher=slurm launcher.partition=gpu

    Runs that are there already, or published (unless --own), are not run again; interrupted, the
    same command goes on. So it is with runs of older code, which are counted, unless --renew has
    them done again. First come the grids that say of what settings a table's cells are, then
    these, then the universes of its findings (--part runs one alone).
    KEY=VALUE says where and how fast (launcher, engine.device, data.root, …).
    """
    from ppr.papers.reproduce import agenda, cells_of, narrowed

    slug, _, table = name.partition("/")
    paper = narrowed(load(slug, folders()), table, scale, seeds)
    where = results_root(root).resolve()
    os.environ["PPR_RESULTS"] = str(where)  # for the runs, and the processes that do them
    tables, problems = fill_tables(paper, Results(resolve, scan(where, published=not own)))
    if not tables:
        raise BadRequest(problems[0])
    for problem in problems:
        click.echo(f"ppr: left out: {problem}", err=True)
    if not dry_run:
        for record in (record for cells in tables.values() for f in cells for record in f.records):
            if record.path:
                drop_leftovers(record.path)
    if jobs:
        words = (*words, f"launcher.jobs={jobs}")
    code = 0
    for at in PARTS if part is None else (part,):
        results = Results(resolve, scan(where, published=not own))
        shown = cells_of(at, paper, list(tables), results)
        plan = agenda(shown, words, renew=renew, most=None if at == "tuning" else seeds)
        if at != "table" and not plan.total:
            continue
        _announce(name if at == "table" else f"{name}, {at}", plan, where, jobs or 1)
        if not renew:
            _print_older(name, shown)
        if dry_run:
            _print_missing(plan)
        else:
            _look_ahead(name, plan, yes)
            code |= _run_all(plan, where, words)
    if dry_run:
        return 1 if problems else 0
    code |= _print_outcome(paper, list(tables), scan(where, published=not own))
    return 1 if code or problems else 0


def _announce(name: str, plan: Agenda, root: Path, jobs: int) -> None:
    """`supcon: 20 runs, 12 done, 8 to do: about 3 minutes (8 from recorded runs)`."""
    runs = [*plan.missing, *plan.later]
    todo = len(runs)
    line = f"{name}: {count(plan.total, 'run')}, {plan.total - todo} done, {todo} to do"
    if not todo:
        click.echo(line)
        return
    if plan.later:
        line += f" ({len(plan.later)} once their rows are tuned)"
    from ppr.launchers.estimate import estimate
    from ppr.launchers.plan import about

    found = estimate(runs, root)
    if found.recorded or found.measured:
        line += f": {about(found.seconds, min(jobs, todo))} ({found.origin})"
    click.echo(line)
    for experiment, reason in found.unknown.items():
        click.echo(f"  {experiment}: time unknown: {reason}")


def _look_ahead(name: str, plan: Agenda, yes: bool) -> None:
    """Refuse at once what each of the runs would be refused for, or would take weeks over here."""
    from ppr.launchers.ahead import have_data, too_big_for_here

    big = [] if yes else too_big_for_here(plan.missing)
    if big:
        raise BadRequest(
            f"{name}: {count(len(big), 'run')} of paper scale, and this machine has its CPU alone; "
            "launcher=slurm hands them to a cluster, --dry-run lists them, --yes starts them here"
        )
    have_data(plan.missing)


def _print_older(name: str, cells: Sequence[Filled]) -> None:
    """`12 runs done with other code of loss/supcon (…): ppr reproduce supcon --renew`."""
    from ppr.config.code import where

    runs = {(cell.variant, seed): found for cell in cells for seed, found in cell.older.items()}
    if runs:
        which = dict.fromkeys(each for found in runs.values() for each in found)
        told = ", ".join(map(where, which))
        again = f"{command_line('reproduce', name, '--renew')} runs them again"
        click.echo(f"  {count(len(runs), 'run')} done with other code of {told}; {again}")


def _print_missing(plan: Agenda) -> None:
    rows: list[list[Cell]] = [
        [at, config.experiment, config.variant, config.seed, _command(config)]
        for at, wave in enumerate(plan.waves, start=1)
        for config in wave
    ]
    if rows:
        print_table(["step", "experiment", "variant", "seed", "command"], rows)


def _command(config: Config) -> str:
    return command_line("run", *config.overrides)


def _run_all(plan: Agenda, root: Path, words: Sequence[str]) -> int:
    """Do the runs wave by wave; 1 if any failed or still waits for an input."""
    from ppr.papers.reproduce import is_older
    from ppr.results.finished import is_finished

    code = 0
    for wave in plan.waves:
        ready = [config for config in wave if all(map(is_finished, config.inputs.values()))]
        for config in wave:
            if config not in ready:
                click.echo(f"ppr: waits for its input: {_command(config)}", err=True)
                code = 1
        if ready and _is_launched(ready[0], words):
            # of older code: to be renewed; what was broken off goes on
            for force in (True, False):
                code |= _launch([c for c in ready if is_older(c) == force], root, words, force)
        else:
            code |= _run_here(ready)
    return code


def _is_launched(config: Config, words: Sequence[str]) -> bool:
    """Whether the runs are handed to a launcher: another than the default, or one asked for.

    Seeds that train together are, in a worker process of this machine.
    """
    asked = any(word.lstrip("+").startswith(("launcher=", "launcher.")) for word in words)
    together = config["engine"]["seeds_per_process"] > 1
    return asked or together or (config["launcher"] or {}).get("name") not in (None, "local")


def _run_here(configs: Sequence[Config]) -> int:
    """One run after another in this process; a run that fails leaves the others alone."""
    from ppr.display.progress import make_watcher
    from ppr.engine.interrupts import Interrupted
    from ppr.launchers.attempt import attempt
    from ppr.papers.reproduce import is_older
    from ppr.results.failure import reason

    code = 0
    for at, config in enumerate(configs, start=1):
        click.echo(f"[{at}/{len(configs)}] {_command(config)}")
        try:
            with make_watcher(config, silent=False) as watcher:
                attempt(config, watcher, force=is_older(config))  # so it is to be renewed
        except Interrupted:
            raise
        except Exception as error:
            click.echo(f"ppr: {_command(config)}: {reason(error)}", err=True)
            code = 1
    return code


def _launch(configs: list[Config], root: Path, words: Sequence[str], force: bool) -> int:
    """Hand the runs to the launcher that they name, less those that it is at already."""
    from ppr import registry
    from ppr.launchers.launch import Order
    from ppr.launchers.opening import open_sweep
    from ppr.launchers.plan import Plan
    from ppr.launchers.states import taken
    from ppr.results.lock import claim
    from ppr.results.sweeps import sweeps

    if not configs:
        return 0
    busy = {sweep.points[index].run_id for sweep in sweeps(root)[0] for index in taken(sweep)}
    todo = [config for config in configs if config.run_id not in busy]
    if not todo:
        click.echo(f"{count(len(configs), 'run')} under way; ppr sweep status shows them")
        return 0
    launcher: dict[str, Any] = configs[0]["launcher"]
    sweep, places = open_sweep(Plan(todo, root, launcher), words)
    order = Order(sweep, launcher, dict(zip(places, todo, strict=True)), force)
    with claim(sweep.folder):
        code: int = registry.make("launcher", launcher).launch(order)
    return code


def _print_outcome(paper: Paper, tables: Sequence[str], seen: Scan) -> int:
    """The tables and verdicts; 1 if a table cannot be filled from its runs."""
    results = Results(resolve, seen)
    code = 0
    click.echo()
    for key in tables:
        try:
            print_sheet(fill(paper, key, results))
        except BadRequest as error:  # its runs do not measure what it asks for
            click.echo(f"ppr: left out: {error}", err=True)
            code = 1
    verdicts = judge(paper, results)
    if verdicts:
        print_verdicts(paper, verdicts)
        print_curves(paper, verdicts)
    return code
