"""What each process that ppr starts is given: its devices and cores, and an end with its parent."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from multiprocessing import connection, parent_process


def visible_devices(wanted: str) -> list[str]:
    """The GPUs that `engine.device` lets runs use, as CUDA_VISIBLE_DEVICES names them."""
    if wanted not in ("auto", "cuda"):
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device for device in named.split(",") if device]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def make_slots(
    jobs: int | None, devices: Sequence[str], per_device: int = 1
) -> list[dict[str, str]]:
    """The environment of each worker: its GPU, dealt round, and its share of the CPU's cores."""
    number = jobs or max(1, len(devices) * per_device)
    slots: list[dict[str, str]] = [{} for _ in range(number)]
    for index, slot in enumerate(slots):
        if devices:
            slot["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)]
        if number > 1 and "OMP_NUM_THREADS" not in os.environ:
            slot["OMP_NUM_THREADS"] = str(max(1, _cores() // number))
    return slots


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what a job may use, not what the machine has
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def stop_when_orphaned() -> None:
    """A worker must not train on when the process that would report it is gone."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
