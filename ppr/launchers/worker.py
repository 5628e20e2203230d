"""A process that does runs one after another, as told through a channel, each with its own log.

It is started bare, so that its environment (which GPU it sees, how many threads it takes) is set
before torch is imported, and it stays for several runs, so that torch is imported once.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.config.composed import Config
from ppr.config.places import Extensions
from ppr.launchers.process import stop_when_orphaned
from ppr.streams import steady_streams
from ppr.sweepers.pruning import Pruning

_STEP_SECONDS = 0.2


def serve(channel: Connection, environment: Mapping[str, str], extensions: Extensions) -> None:
    """Receive `(runs, force, pruning)`, answer with messages that begin with what happened.

    `runs` are a config and a log each; several are seeds that train together. While they do,
    `("step", step, total)`; then of each, told by its number among them, one of `("finished",
    number, summary)`, `("failed", number, reason)`, `("pruned", number, why)`, `("busy", number,
    who)` of one that another process is at, and `("interrupted", number)`.
    """
    os.setpgid(0, 0)  # Ctrl-C is for the process that started us, which asks us to stop
    os.environ.update(environment)
    steady_streams()
    threading.Thread(target=stop_when_orphaned, daemon=True).start()
    extensions.add()

    from ppr.engine.interrupts import stop_on_signal
    from ppr.trackers import live

    with stop_on_signal(patient=True) as stop:
        while not stop:
            try:
                runs, force, pruning = channel.recv()
            except (EOFError, OSError):
                break
            watcher = _watcher(channel, pruning)
            if len(runs) > 1:
                _run_together(runs, force, watcher, channel)
            else:
                ((config, log),) = runs
                kind, *rest = _run(config, log, force, watcher)
                _tell(channel, kind, 0, *rest)
    live.finish()


def _tell(channel: Connection, *message: Any) -> None:
    """Send a message, to nobody if the other end is gone: `stop_when_orphaned` sees to the rest."""
    with suppress(OSError):
        channel.send(message)


def _run(config: Config, log: Path, force: bool, watcher: Any) -> tuple[Any, ...]:
    _redirect(log)
    from ppr.engine.interrupts import Interrupted, Pruned
    from ppr.launchers.attempt import attempt
    from ppr.results.failure import reason
    from ppr.results.lock import RunBusy

    print(command_line("run", *config.overrides), flush=True)
    try:
        return "finished", attempt(config, watcher, force=force, patient=False)
    except RunBusy as error:
        print(error, flush=True)
        return "busy", str(error)
    except Interrupted as error:
        print(error, flush=True)
        return ("interrupted",)
    except Pruned as error:
        print(error, flush=True)
        return "pruned", str(error)
    except Exception as error:
        traceback.print_exc()
        return "failed", reason(error)
    finally:
        _free_memory()


def _run_together(
    runs: Sequence[tuple[Config, Path]], force: bool, watcher: Any, channel: Connection
) -> None:
    configs, logs = zip(*runs, strict=True)
    _redirect(logs[0])
    for log in logs[1:]:  # one process has one output
        with suppress(OSError):
            log.unlink(missing_ok=True)
            log.symlink_to(logs[0].name)
    from ppr.engine.interrupts import Interrupted
    from ppr.launchers.together import attempt_together
    from ppr.results.failure import reason
    from ppr.results.lock import RunBusy

    left = {id(config): number for number, config in enumerate(configs)}

    def ended(config: Config, outcome: Mapping[str, Any] | Exception) -> None:
        number = left.pop(id(config))
        if isinstance(outcome, RunBusy):
            _tell(channel, "busy", number, str(outcome))
        elif isinstance(outcome, Exception):
            traceback.print_exception(outcome)
            _tell(channel, "failed", number, reason(outcome))
        else:
            _tell(channel, "finished", number, outcome)

    for config in configs:
        print(command_line("run", *config.overrides), flush=True)
    try:
        attempt_together(configs, watcher, ended, force=force)
    except Interrupted as error:
        print(error, flush=True)
        for number in left.values():
            _tell(channel, "interrupted", number)
    finally:
        _free_memory()


def _redirect(log: Path) -> None:
    """Send standard output and error, that of native code too, to a run's log.

    Where there can be none (a full disk), the run goes on without.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError:
        handle = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(handle, number)
    os.close(handle)


def _watcher(channel: Connection, pruning: Pruning | None) -> Any:
    from ppr.display.progress import PlainWatcher

    class Reporter(PlainWatcher):
        """Writes the log and tells of the steps, a few times a second."""

        steps = 0
        told = 0.0

        def started(self, steps: int, steps_per_epoch: int, at: int) -> None:
            super().started(steps, steps_per_epoch, at)
            self.steps = steps
            _tell(channel, "step", at, steps)

        def stepped(
            self, step: int, epoch: float, values: Mapping[str, float], rate: float
        ) -> None:
            super().stepped(step, epoch, values, rate)
            if time.monotonic() - self.told > _STEP_SECONDS:
                self.told = time.monotonic()
                _tell(channel, "step", step, self.steps)

        def evaluated(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
            super().evaluated(step, epoch, values)
            if pruning is not None:
                pruning.after(step, epoch, values, last=step == self.steps)

    return Reporter()


def _free_memory() -> None:
    """Give a GPU's memory back: other workers may share it."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
