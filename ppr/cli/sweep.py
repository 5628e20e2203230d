"""`ppr sweep`: what became of a sweep, from any shell: its runs, logs; cancel it, do it again."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ppr.cli.words import WORDS
from ppr.display.terminal import count, print_table
from ppr.errors import BadRequest

SHOWN_RUNS = 50
STYLES = {
    "finished": "green", "running": "cyan", "queued": "blue", "failed": "red",
    "cancelled": "yellow", "interrupted": "yellow", "pruned": "magenta", "damaged": "red",
}  # fmt: skip

_root = click.option(
    "--results", "root", metavar="DIR", help="The results tree [PPR_RESULTS or results]."
)
_which = click.argument("sweep", required=False)


@click.group(name="sweep")
def command() -> None:
    """What became of a sweep, here or on a cluster.

    SWEEP is an id as `ppr run -m` prints it, or its beginning; the newest where it may be left out.
    """


@command.command(name="list")
@_root
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(root: str | None, as_json: bool) -> None:
    """The sweeps of a results tree, the newest last."""
    from ppr.config.places import results_root
    from ppr.launchers.states import states
    from ppr.results.sweeps import sweeps

    rows: list[dict[str, Any]] = []
    found, problems = sweeps(results_root(root))
    for sweep in found:
        counted = Counter(point.state for point in states(sweep).values())
        last = sweep.submissions[-1]
        rows.append({
            "sweep": sweep.id,
            "words": " ".join(sweep.words),
            "launcher": last.launcher.get("name"),
            "time": last.time,
            "runs": dict(counted),
        })  # fmt: skip
    if as_json:
        for problem in problems:
            click.echo(f"ppr: left out: {problem}", err=True)
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows and not problems:
        click.echo(f"no sweep in {results_root(root)} yet")
        return
    cells = []
    for row in rows:
        when = row["time"][:16].replace("T", " ")
        cells.append([row["sweep"], row["launcher"], when, _counts(row["runs"]), row["words"]])
    if cells:
        print_table(["sweep", "launcher", "started", "runs", "words"], cells)
    if problems:
        click.echo(f"\n{count(len(problems), 'problem')}, left out above:")
    for problem in problems:
        click.echo(f"  {problem}")


@command.command()
@_which
@_root
@click.option("--all", "everything", is_flag=True, help=f"Each of more than {SHOWN_RUNS} runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(sweep: str | None, root: str | None, everything: bool, as_json: bool) -> None:
    """How many runs are finished, running, queued or failed, and each of them."""
    found = _find(root, sweep)
    from ppr.launchers.states import states

    points = states(found)
    counted = Counter(point.state for point in points.values())
    rows = [
        {
            "run": index,
            "words": found.label(index),
            "state": point.state,
            "job": point.job,
            "error": point.error,
            "log": str(point.log),
            "folder": str(found.run_folder(index)),
        }
        for index, point in points.items()
    ]
    from ppr.sweepers.chosen import chosen, print_chosen

    if as_json:
        said = {"sweep": found.id, "runs": counted, "points": rows}
        said |= {"chosen": chosen(found)} if found.search else {}
        click.echo(json.dumps(said, indent=2))
        return
    click.echo(f"sweep {found.id}: {count(len(points), 'run')}: {_counts(counted)}")
    shown = rows
    if len(rows) > SHOWN_RUNS and not everything:
        shown = [row for row in rows if row["state"] not in ("finished", "queued")][:SHOWN_RUNS]
        click.echo(f"{len(rows) - len(shown)} runs are not shown; --all shows them")
    keys = ["run", "words", "state", "job", "error"]
    if shown:
        print_table(keys, [[row[key] for key in keys] for row in shown], styles=STYLES)
    if found.search:
        print_chosen(found)


@command.command()
@_which
@click.argument("run", type=int, required=False)
@_root
@click.option("-n", "--lines", default=20, show_default=True, help="The last lines of a log.")
def logs(sweep: str | None, run: int | None, root: str | None, lines: int) -> None:
    """The end of the log of a RUN (its number in `status`), or of every failed run."""
    found = _find(root, sweep)
    from ppr.launchers.states import states

    points = states(found)
    if run is not None and run not in points:
        raise BadRequest(f"run {run}: sweep {found.id} has runs 0 to {len(points) - 1}")
    wanted = [i for i, p in points.items() if (p.state == "failed" if run is None else i == run)]
    if not wanted:
        click.echo(f"sweep {found.id}: no run has failed; {found.command('logs')} RUN")
    for index in wanted:
        click.echo(f"==> {found.label(index)}: {points[index].log}")
        click.echo(_tail(points[index].log, lines), nl=False)


@command.command()
@click.argument("sweep")
@_root
def cancel(sweep: str, root: str | None) -> None:
    """Stop what is running of a sweep, take back what is queued; results and checkpoints stay."""
    found = _find(root, sweep)
    from ppr.launchers.states import UNDER_WAY, states, under_way
    from ppr.results.sweeps import CANCELLED, LOCAL

    points = states(found)
    active = {i: point for i, point in points.items() if point.state in UNDER_WAY}
    busy = under_way(found)
    if not active and not busy:
        raise BadRequest(f"sweep {found.id}: nothing of it is running or queued")
    (found.folder / CANCELLED).touch()
    jobs = ({point.job for point in active.values()} | busy) - {LOCAL}
    if jobs:
        from ppr.launchers.queue import slurm

        slurm("scancel", *sorted(jobs))
    if LOCAL in busy:
        _stop_local(found.folder)
    click.echo(f"sweep {found.id}: {count(len(active), 'run')} cancelled")


@command.command()
@click.argument("words", nargs=-1, type=WORDS, metavar="[SWEEP] [LAUNCHER.FIELD=VALUE]...")
@_root
def retry(words: tuple[str, ...], root: str | None) -> int:
    """Do again what failed, was cancelled or cut off, from the last checkpoint of each.

    \b
      ppr sweep retry
      ppr sweep retry 3f9a launcher.memory_gb=64
    """
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise BadRequest(f"{' '.join(names)}: name one sweep, or none for the newest")
    found = _find(root, names[0] if names else None)
    from ppr.launchers.launch import retry as again

    return again(found, [word for word in words if "=" in word])


def _find(root: str | None, name: str | None) -> Any:
    from ppr.config.places import results_root
    from ppr.results.sweeps import find

    return find(results_root(root), name)


def _counts(counted: Mapping[str, int]) -> str:
    from ppr.launchers.states import STATES

    return ", ".join(f"{counted[state]} {state}" for state in STATES if counted.get(state))


def _tail(path: Path, lines: int) -> str:
    if not path.exists():
        return "(nothing written yet)\n"
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, lines))


def _stop_local(folder: Path) -> None:
    """Ask the process that does a sweep's runs to stop, if it is on this machine."""
    from ppr.results.lock import is_held, read_holder

    if not is_held(folder):
        return
    who = read_holder(folder)
    if who.host != socket.gethostname():
        raise BadRequest(f"the sweep runs on {who.host} as process {who.pid}: cancel it there")
    os.kill(who.pid, signal.SIGTERM)
