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
from ppr.results.files import MetricsLog, write_atomic
from ppr.results.tree import METRICS

WEIGHTS = "model.pt"
"""A finished run's weights."""
_KEPT = 2
_FORMAT = 2
"""Changed when what is saved is: a checkpoint of another version is not gone on from."""
_log = logging.getLogger(__name__)


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], log: MetricsLog) -> Path:
    """Write `state` as `step-<n>-<hash>.pt` and drop all but the last two.

    The hash in the name is of the file's bytes, so that a torn or altered file is known as such.
    How far the run's `log` has come, and the hash of it, go with the state: what was logged before
    is not in the checkpoint, but is part of what the run ends with.

    Raises:
        RunFailed: it cannot be written (disk full, no permission); the older ones are still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logged = {"bytes": log.offset, "sha256": log.digest}
    content = _serialise({**state, "format": _FORMAT, "log": logged})
    path = folder / f"step-{step:09d}-{hashlib.sha256(content).hexdigest()[:16]}.pt"
    write_atomic(path, content)
    for old in checkpoints(folder)[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint that is whole and ours and that the log still leads up to, or None.

    Others are passed over, each with a warning. `state["log"]["bytes"]` is where to cut the log.
    """
    for path in checkpoints(folder):
        state = _read(path.read_bytes(), path.stem.rsplit("-", 1)[1])
        if isinstance(state, str):
            amiss = f"{path} {state}"
        elif not _leads_up_to(folder.parent / METRICS, **state["log"]):
            amiss = f"{folder.parent / METRICS} was altered after {path.name} was saved"
        else:
            return state
        _log.warning("%s; using what there is before it", amiss)
    return None


def _read(content: bytes, named: str) -> dict[str, Any] | str:
    """A checkpoint's state, or what is wrong with it."""
    if hashlib.sha256(content).hexdigest()[:16] != named:
        return "is torn or altered"
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # the unpickler raises what the bytes make it raise
        return "is no checkpoint"
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        return "is no checkpoint of this version"
    return state


def _leads_up_to(log: Path, bytes: int, sha256: str) -> bool:
    """Whether the log's first `bytes` are what they were."""
    try:
        with open(log, "rb") as file:
            return hashlib.sha256(file.read(bytes)).hexdigest() == sha256
    except FileNotFoundError:
        return bytes == 0


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
