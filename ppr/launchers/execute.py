"""A run with all it needs: its inputs first, here or on several devices of this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.config.composed import Config
from ppr.engine import distributed
from ppr.engine.bench import Watcher
from ppr.engine.requests import refuse_request
from ppr.launchers.devices import execute_on_devices
from ppr.results import tree
from ppr.results.finished import finished_summary
from ppr.results.lock import is_held
from ppr.run import execute_here
from ppr.trackers.live import check_tracker

if TYPE_CHECKING:
    from ppr.engine.interrupts import StopRequest

_LOOK_SECONDS = 0.5
_WAIT_SECONDS = 300.0


def execute(
    config: Config, watcher: Watcher | None = None, *, force: bool = False
) -> dict[str, Any]:
    """Do the run, go on with it, or find it done; returns its summary.

    Runs whose results it takes as inputs come first, where they are not done; one that another
    process is at is waited for.

    Raises:
        BadRequest: a component, the data or the device cannot be had as asked.
        RunBusy: another process is at it.
        RunFailed: it broke off; `failure.json` says how, checkpoints stay.
        Interrupted: a signal asked it to stop; the same call goes on.
        Pruned: `watcher` did, for a search; `pruned.json` says so.
    """
    check_tracker(config)
    refuse_request(config.values)
    for needed in config.needed():
        execute_when_free(needed, watcher)
    if config["engine"]["devices"] > 1 and distributed.given_size() == 1:
        done = None if force else finished_summary(config)
        if done is not None:
            return done
        return execute_on_devices(config, watcher or Watcher(), force=force)
    return execute_here(config, watcher or Watcher(), force=force)


def execute_when_free(
    config: Config, watcher: Watcher | None = None, *, force: bool = False
) -> dict[str, Any]:
    """`execute`, once no other process is at the run: then it is mostly found done.

    Raises:
        Interrupted: a signal asked to stop waiting; or as `execute`, but for RunBusy.
    """
    from ppr.engine.interrupts import stop_on_signal

    watcher, told = watcher or Watcher(), False
    with stop_on_signal() as stop:
        while True:
            try:
                return execute(config, watcher, force=force)
            except tree.RunBusy as error:
                if not told:
                    watcher.phase(f"waits: {error}")
                told = True
            # Of several processes the first looks: it alone would claim the run.
            distributed.from_main(lambda: _wait(config.folder, stop))


def _wait(folder: Path, stop: StopRequest) -> None:
    """Until nobody holds a run directory, but not so long that other processes lose patience."""
    from ppr.engine.interrupts import Interrupted

    end = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < end:
        if stop:
            raise Interrupted(f"stopped while waiting for {folder}; the same command goes on")
        if not is_held(folder):
            return
        time.sleep(_LOOK_SECONDS)
