"""Device and precision: one code path for CUDA, MPS and CPU."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ppr.config.settings import EngineSettings, check_share
from ppr.engine import distributed
from ppr.errors import BadRequest, choices

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(wanted: str) -> torch.device:
    """`auto`, `cpu`, `mps`, `cuda` or `cuda:1` as a device that is there.

    Raises:
        BadRequest: not a device, or not on this machine.
    """
    if wanted == "auto":
        there = (
            torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        )
        return there if there is not None else torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        known = ["auto", "cpu", "cuda", "mps"]
        raise BadRequest(f"engine.device={wanted}: not a device; {choices(wanted, known)}")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise BadRequest(
                f"engine.device={wanted}: this machine has {count} CUDA devices; use cpu"
            )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise BadRequest("engine.device=mps: not on this machine; use cpu")
    return device


def check_devices(settings: EngineSettings, total: int, here: int) -> None:
    """Refuse what a run cannot have on `total` devices, `here` of them on this machine.

    Raises:
        BadRequest: there are not as many, or the batch cannot be shared out among them.
    """
    check_share(settings.batch_size, total)
    if settings.devices not in (1, here):
        raise BadRequest(
            f"engine.devices={settings.devices}: {here} processes of this run were started here; "
            "start as many, or leave it out"
        )
    device = pick_device(settings.device)
    if device.type == "mps" or (device.type == "cuda" and device.index is not None):
        raise BadRequest(
            f"engine.device={settings.device}: one device, but the run is on {here} of this "
            "machine; allowed: cuda, cpu"
        )
    count = torch.cuda.device_count() if device.type == "cuda" else here
    shown_its_own = count == 1 and distributed.given_size() > 1  # see own_device
    if count < here and not shown_its_own:
        raise BadRequest(f"engine.devices={here}: this machine has {count} CUDA devices")


def own_device(settings: EngineSettings) -> torch.device:
    """The device of this process: its own of the machine's GPUs where several processes train."""
    device = pick_device(settings.device)
    if device.type != "cuda" or distributed.given_size() == 1:
        return device
    # A scheduler may show each process its own GPU alone.
    count = torch.cuda.device_count()
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) if count > 1 else 0)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is quicker than fp32 there: matrix units on a CPU, compute 8.0 on CUDA."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False


def settle_precision(wanted: str, device: torch.device) -> str:
    """What `auto` comes to on this device."""
    if wanted != "auto":
        return wanted
    if has_fast_bf16(device):
        return "bf16"
    return "fp16" if device.type == "cuda" else "fp32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context in which a model computes its outputs (losses stay in fp32, outside it)."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])


def configure(settings: EngineSettings) -> None:
    """Set torch's global switches for a run."""
    # MPS and CPU ignore the TF32 switches.
    torch.backends.cuda.matmul.allow_tf32 = settings.tf32
    torch.backends.cudnn.allow_tf32 = settings.tf32
    torch.backends.cudnn.benchmark = not settings.deterministic
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if settings.deterministic != torch.are_deterministic_algorithms_enabled():
        # only on a change: the call imports torch's compiler, which takes seconds
        torch.use_deterministic_algorithms(settings.deterministic)


def describe_device(device: torch.device) -> str:
    """The device's name, for the summary."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return device.type


def peak_memory(device: torch.device) -> int:
    """Bytes at the peak: allocated on a GPU, resident in this process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
