"""Has a run followed by its tracker, in a process of its own, from outside the training loop."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ppr import registry
from ppr.commands import command_line
from ppr.config.composed import Config

_PATIENCE = 30.0
"""Seconds that a process stays at its end for what its runs' trackers still have to send."""
_PATIENCE_STOPPED = 3.0
"""The same after a run that was stopped or failed: it is wanted back soon."""


@dataclass
class _Follower:
    process: subprocess.Popen[str]
    folder: Path
    node: Mapping[str, Any]
    patience: float = _PATIENCE_STOPPED


_followers: list[_Follower] = []


def check_tracker(config: Config) -> None:
    """Refuse a tracker that cannot work, before anything is trained.

    Raises:
        BadRequest: what it lacks, and what to do.
    """
    if config["tracker"]:
        registry.make("tracker", config["tracker"]).check()


@contextmanager
def tracked(config: Config, folder: Path) -> Iterator[None]:
    """Have the run in `folder` replayed while the block runs; `finish` waits for what is left."""
    node = config["tracker"]
    if not node:
        yield
        return
    plugins = [str(path) for path in registry.plugin_files()]
    command = [sys.executable, "-m", "ppr.trackers.follow", str(folder), json.dumps(node)]
    process = subprocess.Popen(
        [*command, *plugins],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the run
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    for earlier in [each for each in _followers if each.process.poll() is not None]:
        _followers.remove(earlier)
        _report(earlier, 0.0)
    follower = _Follower(process, folder, node)
    if not _followers:
        atexit.register(finish)
    _followers.append(follower)
    try:
        yield
        follower.patience = _PATIENCE
    finally:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()


def finish() -> None:
    """Wait, not for long, until what runs left behind has been sent; a line for what has not.

    A worker that ends without Python's exit handlers calls this itself.
    """
    atexit.unregister(finish)
    start = time.monotonic()
    while _followers:
        follower = _followers.pop()
        _report(follower, max(0.0, start + follower.patience - time.monotonic()))


def _report(follower: _Follower, seconds: float) -> None:
    """A line if a follower has not sent everything, nor does in so many seconds."""
    reason = _ended(follower, seconds)
    if reason:
        later = command_line("track", str(follower.folder), *_words(follower.node))
        click.echo(f"ppr: warning: {reason}; the run is not affected; later: {later}", err=True)


def _ended(follower: _Follower, seconds: float) -> str:
    """Why a follower has not sent everything; nothing if it has."""
    process = follower.process
    assert process.stdout is not None
    try:
        code = process.wait(seconds)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"{follower.node['name']}: not everything was sent in {follower.patience:.0f} s"
    said = process.stdout.read().strip()
    return said or (f"{follower.node['name']}: its process ended with {code}" if code else "")


def _words(node: Mapping[str, Any]) -> list[str]:
    """A tracker's config node as words of a command."""
    fields = registry.describe("tracker", node["name"]).fields
    given = {key: value for key, value in node.items() if key in fields}
    changed = {key: value for key, value in given.items() if value != fields[key].default}
    words = [f"tracker.{key}={_hydra(value)}" for key, value in changed.items()]
    return [f"tracker={node['name']}", *words]


def _hydra(value: Any) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)
