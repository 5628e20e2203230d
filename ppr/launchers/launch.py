"""From the words of a sweep to its runs: plan, open its record, hand the rest to its launcher."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import click

from ppr import registry
from ppr.config import code
from ppr.config.compose import compose
from ppr.config.composed import Config
from ppr.display.terminal import count
from ppr.engine.interrupts import Interrupted, stop_on_signal
from ppr.engine.requests import refuse_request
from ppr.engine.stackable import refuse_unstackable
from ppr.errors import BadRequest
from ppr.launchers.estimate import estimate
from ppr.launchers.opening import open_sweep
from ppr.launchers.outcome import print_outcome
from ppr.launchers.plan import Plan, about, make_plan
from ppr.launchers.pool import Display, Task, grouped
from ppr.launchers.states import states, taken, under_way
from ppr.results.leftovers import drop_leftovers
from ppr.results.lock import RunBusy, holder, is_held
from ppr.results.summary import read_summary
from ppr.results.sweeps import CANCELLED, LOCAL, RECORD, Sweep
from ppr.results.tree import claim
from ppr.trackers.live import check_tracker

LOOK_SECONDS = 0.5
"""Between two looks at whether another process is still at the sweep."""


@dataclass(frozen=True)
class Order:
    """What a launcher is handed: its config, and the runs to do by their place in the sweep.

    A search that learns from its trials has `trials` to do instead, each much like `example`.
    """

    sweep: Sweep
    launcher: Mapping[str, Any]
    configs: Mapping[int, Config]
    force: bool = False
    quiet: bool = False
    as_json: bool = False
    trials: int = 0
    example: Config | None = None

    def __post_init__(self) -> None:
        for config in self.kinds:
            refuse_unstackable(config.values)
            refuse_request(config.values)

    @property
    def silent(self) -> bool:
        return self.quiet or self.as_json

    @property
    def total(self) -> int:
        """How many runs there are to do."""
        return len(self.configs) or self.trials

    @property
    def kinds(self) -> list[Config]:
        """The configs to do; of a search, one that stands for them."""
        return [*self.configs.values(), *([self.example] if self.example else [])]

    @contextmanager
    def tasks(self, job: str, display: Display) -> Iterator[tuple[Iterable[Task], Display]]:
        """The runs to do for a pool, and who is to be told of them."""
        if not self.sweep.adaptive:
            yield (
                grouped(
                    Task(index, config, self.sweep.local_log(index), self.force)
                    for index, config in self.configs.items()
                ),
                display,
            )
            return
        from ppr.launchers.trials import trials

        with trials(self.sweep, job, display) as asking:
            yield asking, asking

    def describe(self, at_a_time: int) -> str:
        """`15 runs: 3 done, 12 to do, about 2.0 hours, 2 at a time (sweep …)`."""
        if self.sweep.adaptive:
            trials = self.sweep.search["trials"]
            before = f"{trials - self.trials} done, " if trials > self.trials else ""
            left = f"{self.trials} to do, {self._time(at_a_time)}"
            return f"{count(trials, 'trial')}: {before}{left} (sweep {self.sweep.id})"
        total, todo = len(self.sweep.points), len(self.configs)
        found = [index for index in range(total) if self.sweep.finished(index)]
        done = len(found)
        older = _older(self.sweep, found)
        parts = [f"{done} done{older}"] if done and not self.force else []
        if total > done + todo:
            parts.append(f"{total - done - todo} under way or left alone")
        parts.append(f"{todo} to do, {self._time(at_a_time)}")
        return f"{count(total, 'run')}: {', '.join(parts)} (sweep {self.sweep.id})"

    def _time(self, at_a_time: int) -> str:
        # Where a sweep is handed to a cluster, this machine's steps would tell little of its own.
        here = self.launcher["name"] == LOCAL
        found = estimate(self.kinds, self.sweep.root, measuring=here)
        if not found.recorded and not found.measured:
            reasons = dict.fromkeys(found.unknown.values()) or ["no such run is recorded yet"]
            return f"hours unknown ({'; '.join(reasons)})"
        share = self.total / len(self.kinds)  # of a search: all trials by the one that is known
        known = about(found.seconds * share, min(at_a_time, self.total))
        if self.sweep.adaptive:
            return f"{known}, from {'recorded runs' if found.recorded else 'a few measured steps'}"
        return f"{known}, {found.origin}"


def _older(sweep: Sweep, finished: Sequence[int]) -> str:
    """` (2 with other code of loss/supcon (…); --force runs all again)`; empty if none is."""
    summaries = [read_summary(sweep.run_folder(index)) or {} for index in finished]
    outdated = [code.outdated(code.recorded(summary)) for summary in summaries]
    which = dict.fromkeys(each for found in outdated for each in found)
    if not which:
        return ""
    told = ", ".join(map(code.where, which))
    return f" ({sum(map(bool, outdated))} with other code of {told}; --force runs all again)"


def run_sweep(
    words: Sequence[str],
    *,
    yes: bool = False,
    force: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> int:
    """Do a sweep's unfinished runs here, or hand them to a cluster; the exit code.

    Raises:
        BadRequest: the sweep is refused; nothing has been started.
        RunBusy: another process has begun the same sweep on this machine this very moment.
        Interrupted: a signal asked to stop, or to stop waiting for another process at the sweep.
    """
    plan = make_plan(words, confirmed=yes)
    check_tracker(plan.example)
    sweep, places = open_sweep(plan, words)
    if plan.launcher["name"] == LOCAL and is_held(sweep.folder):
        _wait(sweep, silent=quiet or as_json)
        sweep, places = open_sweep(plan, words)
    if sweep.adaptive:
        if force:
            raise BadRequest("--force: a search goes on; begin another with sweeper.study=NAME")
        return _run_search(plan, sweep, quiet, as_json)
    under_way_now = taken(sweep)
    configs = {
        place: config
        for place, config in zip(places, plan.configs, strict=True)
        if place not in under_way_now and (force or not sweep.finished(place))
    }
    for place in places:
        if place not in under_way_now and place not in configs:
            drop_leftovers(sweep.run_folder(place))
    code = 0
    if configs:
        code = _launch(Order(sweep, plan.launcher, configs, force, quiet, as_json))
    elif not (quiet or as_json):
        busy = len(under_way_now)
        older = _older(sweep, [place for place in places if sweep.finished(place)])
        shown = f"{len(places) - busy} done{older}" + (f", {busy} under way" if busy else "")
        click.echo(f"{count(len(places), 'run')}: {shown} (sweep {sweep.id})")
    if not sweep.submissions and (sweep.folder / RECORD).exists():  # it was damaged
        _record(sweep, plan)
    _conclude(sweep, places, plan, quiet, as_json)
    return code


def _wait(sweep: Sweep, silent: bool) -> None:
    """Until no other process is at the sweep on this machine: what it leaves is then done here.

    Raises:
        Interrupted: a signal asked to stop waiting.
    """
    told = silent
    with stop_on_signal() as stop:
        while is_held(sweep.folder):
            if not told:
                click.echo(f"sweep {sweep.id}: waits for {holder(sweep.folder)}, which is at it")
                told = True
            if stop:
                raise Interrupted("stopped waiting; the other process goes on with the sweep")
            time.sleep(LOOK_SECONDS)


def _run_search(plan: Plan, sweep: Sweep, quiet: bool, as_json: bool) -> int:
    """Go on with a search that learns from its trials."""
    from ppr.sweepers.study import Worker

    jobs = under_way(sweep) - {LOCAL}
    if jobs:
        if not (quiet or as_json):
            click.echo(
                f"sweep {sweep.id}: {count(len(jobs), 'job')} under way; {sweep.command('status')}"
            )
        return 0
    worker = Worker(sweep.folder, sweep.search, plan.space)
    with worker.lock:
        worker.ask_again()
    left, code = worker.left(), 0
    if left:
        order = Order(sweep, plan.launcher, {}, False, quiet, as_json, left, plan.example)
        code = _launch(order)
    elif not (quiet or as_json):
        total = count(sweep.search["trials"], "trial")
        click.echo(f"{total}: {sweep.search['trials']} done (sweep {sweep.id})")
    sweep.read_trials()
    _conclude(sweep, range(len(sweep.points)), plan, quiet, as_json)
    return code


def _conclude(sweep: Sweep, places: Iterable[int], plan: Plan, quiet: bool, as_json: bool) -> None:
    """What there is to say of a sweep once its launcher is done: summaries, what was chosen."""
    if as_json:
        for place in places:
            if sweep.finished(place):
                click.echo(json.dumps(read_summary(sweep.run_folder(place))))
    if plan.launcher["name"] != LOCAL:
        return
    if not sweep.search:
        if not (quiet or as_json):
            print_outcome(sweep)
        return
    from ppr.sweepers.chosen import chosen, print_chosen

    sweep.search["chosen"] = chosen(sweep)
    _record(sweep, plan)
    if not (quiet or as_json):
        print_chosen(sweep)


def _record(sweep: Sweep, plan: Plan) -> None:
    """Write the record of a sweep, all of whose runs may have been there before.

    A process that is at the sweep writes its own.
    """
    with suppress(RunBusy), claim(sweep.folder):
        if sweep.submissions:
            sweep.write()
        else:
            sweep.submitted(plan.launcher, {LOCAL: []})


def retry(sweep: Sweep, words: Sequence[str]) -> int:
    """Do again what failed, was cancelled or was cut off; `words` may change the launcher.

    Raises:
        BadRequest: there is nothing to do again, or a point's config is no longer what it was.
    """
    sweep.extensions.add()
    os.environ["PPR_RESULTS"] = str(sweep.root)  # for the runs, and the processes that do them
    if sweep.adaptive:
        return run_sweep([*sweep.words, *words])
    own = taken(sweep)
    over = [
        index
        for index, point in states(sweep).items()
        if index not in own and point.state not in ("finished", "pruned")
    ]
    if not over:
        raise BadRequest(f"sweep {sweep.id}: no run has failed or been cut off")
    configs = {}
    for index in over:
        point = sweep.points[index]
        configs[index] = compose([*point.words, *words])
        if configs[index].run_id != point.run_id:
            raise BadRequest(
                f"sweep {sweep.id}: {sweep.label(index)} is another run now; its config or a "
                "default has changed, or a word here does: start a new sweep"
            )
    launcher = configs[over[0]]["launcher"] or sweep.submissions[-1].launcher
    code = _launch(Order(sweep, launcher, configs))
    if launcher["name"] == LOCAL:
        print_outcome(sweep)
    return code


def _launch(order: Order) -> int:
    launcher = registry.make("launcher", order.launcher)
    with claim(order.sweep.folder):
        (order.sweep.folder / CANCELLED).unlink(missing_ok=True)
        code: int = launcher.launch(order)
    return code
