"""Signals that ask a run to stop: it finishes its step, saves a checkpoint and leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ppr.errors import PprError

# Ctrl-C and `kill`; the two that SLURM is asked to send before a time limit or a preemption; a
# terminal that has gone, unless `nohup` has said that it may.
_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
_active: list[StopRequest] = []


class Interrupted(PprError):
    """The run was asked to stop and has saved a checkpoint; the same command goes on."""

    exit_code = 130


class Pruned(PprError):
    """The search that the run is a trial of does not want it to go on; `record` says why."""

    def __init__(self, message: str, record: Mapping[str, Any]) -> None:
        super().__init__(message, record)  # both, so that it can be pickled
        self.message, self.record = message, record

    def __str__(self) -> str:
        return self.message


class StopRequest:
    """Whether a signal has asked the run to stop."""

    received: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.received is not None


@contextmanager
def stop_on_signal(*, patient: bool = False) -> Iterator[StopRequest]:
    """Turn the first signal that asks to stop into a flag; a second acts at once, as it used to.

    Within another `stop_on_signal` the outer one's flag is shared, so that a signal that came while
    the run was still being set up is not lost. `patient` takes later signals for the same request:
    a job scheduler sends several in a row and kills by itself when it has waited enough.
    """
    if _active:
        yield _active[-1]
        return
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers
        return
    before = {number: signal.getsignal(number) for number in _ASKING}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]

    def note(number: int, frame: FrameType | None) -> None:
        request.received = request.received or signal.Signals(number)
        if not patient and number != signal.SIGHUP:  # the terminal and the shell both send one
            signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    _active.append(request)
    try:
        yield request
    finally:
        _active.remove(request)
        for number, handler in before.items():
            signal.signal(number, handler)
