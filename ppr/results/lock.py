"""One process a run directory.

The lock is the operating system's (flock), so it ends with the process that holds it, however that
ends, and the next one takes over without being told. POSIX only.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ppr.errors import PprError, RunFailed
from ppr.results.files import check_as, clear_asides, read_json, write_json

LOCK = "run.lock"
HOLDER = "holder.json"
PATIENCE = 0.5
"""Seconds that a claim waits: `is_held` holds the lock too, for microseconds."""


@dataclass(frozen=True)
class Holder:
    """`holder.json`: the process that holds a directory."""

    pid: int
    host: str
    since: str


class RunBusy(PprError):
    """Another process is running this very run: exit code 1."""


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold the run directory `path`, made if need be, while the block runs.

    Raises:
        RunBusy: another process holds it; names that process, its host and since when.
        RunFailed: the directory cannot be made or its file system has no locks.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / LOCK)
        lock.acquire(timeout=PATIENCE, poll_interval=0.02)
    except Timeout:
        raise RunBusy(f"{path} is being run by {holder(path)}") from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunFailed(f"{path}: cannot lock the run directory: {reason}") from error
    try:
        clear_asides(path)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        write_json(path / HOLDER, asdict(Holder(os.getpid(), socket.gethostname(), since)))
        yield
    finally:
        (path / HOLDER).unlink(missing_ok=True)
        lock.release()


def read_holder(path: Path) -> Holder:
    """Who holds the directory `path`.

    Raises:
        RunFailed: it says nobody, for it is being claimed or left this very moment, or is damaged.
    """
    return check_as(read_json(path / HOLDER), Holder, str(path / HOLDER))


def holder(path: Path) -> str:
    """Who holds the lock of the run directory `path`, in words."""
    try:
        who = read_holder(path)
        since = datetime.fromisoformat(who.since).astimezone()
    except (RunFailed, ValueError):
        return "another process"
    pattern = "%H:%M" if since.date() == datetime.now().date() else "%Y-%m-%d %H:%M"
    return f"pid {who.pid} on {who.host} since {since.strftime(pattern)}"


def is_held(path: Path) -> bool:
    """Whether a living process holds the run directory `path`.

    A shared lock through a read-only handle: two askers do not see each other, and a colleague's
    tree need not be writable.
    """
    try:
        handle = os.open(path / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    else:
        return False
    finally:
        os.close(handle)
