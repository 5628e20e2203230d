"""Signals that ask a run to stop: it finishes its step, saves a checkpoint and leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ppr.errors import PprError

_ASKING = [signal.SIGINT, signal.SIGTERM]


class Interrupted(PprError):
    """The run was asked to stop and has saved a checkpoint; the same command goes on."""

    exit_code = 130


class StopRequest:
    """Whether a signal has asked the run to stop."""

    received: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.received is not None


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a flag; a second one acts at once, as it used to."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may set handlers
        return
    before = {number: signal.getsignal(number) for number in _ASKING}

    def note(number: int, frame: FrameType | None) -> None:
        request.received = signal.Signals(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in _ASKING:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
