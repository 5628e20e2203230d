"""Standard output and error that a process can lose, and that print no escapes and no passwords.

What is printed tells of a run and is not the run: after `steady_streams` a write that fails (a
reader left, a disk is full, a terminal dead) is dropped. A command whose work is what it prints
asks `lost` at its end.

What is printed may be another's text: a plug-in's docstring, a paper's title, a metric's name. Of
its characters those that command a terminal go, but for what our own displays write: colours and,
on a terminal, what a progress bar redraws itself with. URLs lose the passwords that they carry.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from contextlib import suppress
from typing import Any, TextIO

from ppr.urls import without_userinfo

_GONE = {
    errno.EPIPE,  # no reader
    errno.EIO, errno.ENXIO, errno.EBADF,  # no terminal
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ESTALE,  # no room, or no server of the disk
}  # fmt: skip

_CONTROL = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]"
_COLOUR = r"\x1b\[[0-9;]*m"
_REDRAW = r"\x1b\[[0-9]*[AK]|\x1b\[\?25[hl]"  # rich's bars: lines up, erase, hide the cursor
_IN_FILE = re.compile(f"({_COLOUR})|{_CONTROL}")
_ON_TERMINAL = re.compile(f"({_COLOUR}|{_REDRAW})|{_CONTROL}")


class _Steady(io.FileIO):
    """A stream's descriptor: what it does not take is dropped."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self.lost = self.lost or error
            return memoryview(data).nbytes


class _Inert(io.TextIOWrapper):
    """Text less what commands a terminal, and less passwords."""

    def write(self, text: str) -> int:
        ours = _ON_TERMINAL if self.isatty() else _IN_FILE
        super().write(ours.sub(lambda found: found[1] or "", without_userinfo(text)))
        return len(text)


def steady_streams() -> None:
    """Let no write to standard output or error raise; a closed one becomes the null device.

    What stands in for a stream, as a test's capture does, is left alone.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _nowhere(number))
        elif stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _steadied(stream))


def lost() -> OSError | None:
    """Why standard output did not take all that was printed, a reader that left aside."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.lost if isinstance(raw, _Steady) else None
    return error if error is not None and error.errno != errno.EPIPE else None


def _nowhere(number: int) -> TextIO:
    """The null device, at the stream's own number: no file opened later is printed into."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.fstat(number)
    except OSError:
        os.dup2(null, number)
    return os.fdopen(null, "w", encoding="utf-8", errors="replace")


def _steadied(stream: TextIO) -> TextIO:
    with suppress(OSError):  # what was written before cannot be saved
        stream.flush()
    return _Inert(
        io.BufferedWriter(_Steady(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        # A name that the terminal's letters cannot show is no reason to end either.
        errors="replace" if stream.errors == "strict" else stream.errors,
        # Under `python -u` too: a line at a time, and never a part of one.
        line_buffering=bool(stream.line_buffering or getattr(stream, "write_through", False)),
    )
