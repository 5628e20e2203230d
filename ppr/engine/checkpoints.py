"""Checkpoints that survive any kill: written aside, named by their own hash, the last two kept."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from pathlib import Path
from typing import Any

import torch

from ppr.errors import RunFailed
from ppr.results.files import write_atomic

WEIGHTS = "model.pt"
"""A finished run's weights."""
_KEPT = 2
_log = logging.getLogger(__name__)


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` as `step-<n>-<hash>.pt` and drop all but the last two.

    The hash in the name is of the file's bytes, so that a torn or altered file is known as such.

    Raises:
        RunFailed: it cannot be written (disk full, no permission); the older ones are still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = _serialise(state)
    path = folder / f"step-{step:09d}-{hashlib.sha256(content).hexdigest()[:16]}.pt"
    write_atomic(path, content)
    for old in checkpoints(folder)[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint, or None; a torn or altered one is passed over with a warning."""
    for path in checkpoints(folder):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:16] == path.stem.rsplit("-", 1)[1]:
            state: dict[str, Any] = torch.load(
                io.BytesIO(content), map_location="cpu", weights_only=True
            )
            return state
        _log.warning("%s is torn or altered; using the checkpoint before it", path)
    return None


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    return sorted(folder.glob("step-*-*.pt"), reverse=True)


def save_weights(path: Path, state: dict[str, Any]) -> None:
    """Write a model's weights atomically."""
    write_atomic(path, _serialise(state))


def load_weights(path: Path) -> dict[str, Any]:
    """Read weights written by `save_weights`.

    Raises:
        RunFailed: the file is not there or cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise RunFailed(f"{path}: cannot read these weights ({error})") from None
    return state


def _serialise(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def drop_checkpoints(folder: Path) -> None:
    """Remove a finished run's checkpoints: its weights and summary are kept."""
    for path in checkpoints(folder):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not os.listdir(folder):
        folder.rmdir()
