"""One run on several devices of this machine: a process each, started here and looked after.

What torchrun does, for `engine.devices`: the processes meet at a store that this one holds, the
first of them does the run as one process would and tells this one of its progress. When one dies
the others are stopped and the run has failed; a signal that asks to stop is passed on to all.
"""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from ppr.config.composed import Config
from ppr.config.places import Extensions
from ppr.errors import PprError, RunFailed
from ppr.launchers.process import make_slots, stop_when_orphaned
from ppr.results.failure import note_failure, reason
from ppr.streams import steady_streams

if TYPE_CHECKING:
    from ppr.engine.bench import Watcher
    from ppr.engine.interrupts import StopRequest

_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 5.0
"""What the other processes have to say why, when one has failed: the first is not the cause."""


class _Process:
    """One of a run's processes, and what came of it."""

    def __init__(self, environment: Mapping[str, str], config: Config, force: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.channel, theirs = context.Pipe()
        arguments = (theirs, environment, Extensions.present(), config, force)
        self.process = context.Process(target=_serve, args=arguments)
        self.process.start()
        theirs.close()
        self.summary: dict[str, Any] | None = None
        self.error: Exception | None = None

    @property
    def at_work(self) -> bool:
        return self.summary is None and self.error is None

    def hear(self, watcher: Watcher) -> None:
        """Take its next message: progress, which is answered, or its end."""
        try:
            kind, *rest = self.channel.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            self.error = RunFailed(f"one of its processes was {how}")
            return
        if kind == "finished":
            (self.summary,) = rest
        elif kind == "failed":
            (self.error,) = rest
        else:
            answer = None
            try:
                getattr(watcher, kind)(*rest)
            except PprError as error:
                answer = error
            with suppress(OSError):
                self.channel.send(answer)

    def signal(self, number: signal.Signals) -> None:
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)


def execute_on_devices(config: Config, watcher: Watcher, *, force: bool = False) -> dict[str, Any]:
    """Do a run in `engine.devices` processes; its summary.

    Raises:
        BadRequest, RunFailed, Interrupted: as a run in this process would; or a process died.
    """
    import torch

    from ppr.config.settings import EngineSettings
    from ppr.engine.device import check_devices
    from ppr.engine.interrupts import stop_on_signal

    count = config["engine"]["devices"]
    check_devices(EngineSettings(**config["engine"]), count, count)
    store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
        "127.0.0.1", 0, is_master=True, wait_for_workers=False
    )
    met = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is there already: ours
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    processes: list[_Process] = []
    with stop_on_signal() as stop:
        try:
            for number, threads in enumerate(make_slots(count, [])):
                own = {"RANK": str(number), "LOCAL_RANK": str(number)}
                processes.append(_Process({**met, **own, **threads}, config, force))
            _look_after(processes, watcher, stop)
        finally:
            for each in processes:
                if each.at_work or each.error:
                    each.signal(signal.SIGKILL)
                each.process.join()
                each.channel.close()
    errors = [each.error for each in processes if each.error is not None]
    if errors:
        error = _cause(errors)
        if type(error) is RunFailed:
            note_failure(config.folder, reason(error))
        raise error
    summary = processes[0].summary
    assert summary is not None
    return summary


def _look_after(processes: Sequence[_Process], watcher: Watcher, stop: StopRequest) -> None:
    """Until all have ended, or one has failed and the others have had their time to say why."""
    from ppr.engine.interrupts import Interrupted

    told, end = False, float("inf")
    while time.monotonic() < end:
        at_work = {each.channel: each for each in processes if each.at_work}
        if not at_work:
            return
        if stop and not told:
            told = True
            for each in at_work.values():
                each.signal(signal.SIGTERM)
        for channel in connection.wait(list(at_work), timeout=_LOOK_SECONDS):
            assert isinstance(channel, Connection)
            each = at_work[channel]
            each.hear(watcher)
            if each.error is not None and not isinstance(each.error, Interrupted):
                end = min(end, time.monotonic() + _GRACE_SECONDS)


def _cause(errors: Sequence[Exception]) -> Exception:
    """Of what the processes failed of, what was not another's end."""
    from ppr.engine.distributed import ProcessLost

    return next((error for error in errors if not isinstance(error, ProcessLost)), errors[0])


def _serve(
    channel: Connection,
    environment: Mapping[str, str],
    extensions: Extensions,
    config: Config,
    force: bool,
) -> None:
    """In the new process: do its part of the run, and say how it ended."""
    os.setpgid(0, 0)  # Ctrl-C is for the process that started us, which asks us to stop
    os.environ.update(environment)
    steady_streams()
    threading.Thread(target=stop_when_orphaned, daemon=True).start()
    if environment["RANK"] != "0":
        logging.disable(logging.WARNING)  # the first says it
    extensions.add()

    from ppr.engine.distributed import leave
    from ppr.engine.interrupts import stop_on_signal
    from ppr.run import execute_here
    from ppr.trackers.live import finish

    with stop_on_signal(patient=True):
        message: tuple[str, Any]
        try:
            message = "finished", execute_here(config, _relay(channel), force=force)
            leave()
        except PprError as error:
            message = "failed", error
        except Exception as error:
            traceback.print_exc()
            message = "failed", RuntimeError(reason(error))
        with suppress(OSError):
            channel.send(message)
    finish()


def _relay(channel: Connection) -> Watcher:
    """A watcher that has the process at the other end told, and raises what that one's raises."""
    from ppr.engine.bench import Watcher

    def pass_on(name: str) -> Any:
        def told(*values: Any) -> None:
            answer = None
            with suppress(OSError, EOFError):  # that process has died: we are asked to stop
                channel.send((name, *values))
                answer = channel.recv()
            if answer is not None:
                raise answer

        return told

    relay = Watcher()
    for name, _ in inspect.getmembers(Watcher, inspect.isfunction):
        if not name.startswith("_"):
            setattr(relay, name, pass_on(name))
    return relay
