"""From the words of a sweep to its runs: plan, open its record, hand the rest to its launcher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ppr import registry
from ppr.config.compose import Config, compose
from ppr.config.places import add_config_dir
from ppr.errors import BadRequest
from ppr.launchers.plan import about, make_plan, seconds_of
from ppr.launchers.states import UNDER_WAY, states
from ppr.launchers.sweep import CANCELLED, Sweep, open_sweep
from ppr.report.terminal import count
from ppr.results.files import read_json
from ppr.results.tree import SUMMARY, claim


@dataclass(frozen=True)
class Order:
    """What a launcher is handed: its config, and the runs to do by their place in the sweep."""

    sweep: Sweep
    launcher: Mapping[str, Any]
    configs: Mapping[int, Config]
    force: bool = False
    quiet: bool = False
    as_json: bool = False

    @property
    def silent(self) -> bool:
        return self.quiet or self.as_json

    def describe(self, at_a_time: int) -> str:
        """`15 runs: 3 done, 12 to do, about 2.0 hours, 2 at a time (sweep …)`."""
        total, todo = len(self.sweep.points), len(self.configs)
        done = sum((self.sweep.run_folder(index) / SUMMARY).exists() for index in range(total))
        parts = [f"{done} done"] if done and not self.force else []
        if total > done + todo:
            parts.append(f"{total - done - todo} under way or left alone")
        seconds = seconds_of(self.configs.values(), self.sweep.root)
        parts.append(f"{todo} to do, {about(seconds, min(at_a_time, todo))}")
        return f"{count(total, 'run')}: {', '.join(parts)} (sweep {self.sweep.id})"


def run_sweep(
    words: Sequence[str],
    *,
    config_dirs: Sequence[Path] = (),
    yes: bool = False,
    force: bool = False,
    quiet: bool = False,
    as_json: bool = False,
) -> int:
    """Do a sweep's unfinished runs here, or hand them to a cluster; the exit code.

    Raises:
        BadRequest: the sweep is refused; nothing has been started.
        RunBusy: another process is at the same sweep on this machine.
    """
    plan = make_plan(words, confirmed=yes)
    sweep, places = open_sweep(plan, words, config_dirs)
    before = states(sweep) if sweep.submissions else {}
    configs = {
        place: config
        for place, config in zip(places, plan.configs, strict=True)
        if (force or not (sweep.run_folder(place) / SUMMARY).exists())
        and (place not in before or before[place].state not in UNDER_WAY)
    }
    code = 0
    if configs:
        code = _launch(Order(sweep, plan.launcher, configs, force, quiet, as_json))
    elif not (quiet or as_json):
        busy = sum(point.state in UNDER_WAY for point in before.values())
        shown = f"{len(places) - busy} done" + (f", {busy} under way" if busy else "")
        click.echo(f"{count(len(places), 'run')}: {shown} (sweep {sweep.id})")
    if as_json:
        for place in places:
            if (sweep.run_folder(place) / SUMMARY).exists():
                click.echo(json.dumps(read_json(sweep.run_folder(place) / SUMMARY)))
    return code


def retry(sweep: Sweep, words: Sequence[str]) -> int:
    """Do again what failed, was cancelled or was cut off; `words` may change the launcher.

    Raises:
        BadRequest: there is nothing to do again, or a point's config is no longer what it was.
    """
    for path in sweep.plugins:
        registry.add_plugin(path)
    for folder in sweep.config_dirs:
        add_config_dir(folder)
    found = states(sweep)
    over = [i for i, point in found.items() if point.state not in {"finished", *UNDER_WAY}]
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
    launcher = configs[over[0]]["launcher"]
    return _launch(Order(sweep, launcher or sweep.submissions[-1]["launcher"], configs))


def _launch(order: Order) -> int:
    launcher = registry.make("launcher", order.launcher)
    with claim(order.sweep.folder):
        (order.sweep.folder / CANCELLED).unlink(missing_ok=True)
        code: int = launcher.launch(order)
    return code
