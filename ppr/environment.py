"""What a run is run with: versions, machine, and the code of ppr and of its components."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppr
from ppr.config import code
from ppr.config.composed import Config
from ppr.engine.processor import processor_name
from ppr.results.finished import finished_summary, is_finished

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "torchvision", "numpy", "datasets", "hydra-core", "scikit-learn")
_SHOWN_VARIABLES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")


def environment_of(config: Config, device: torch.device) -> dict[str, Any]:
    """Versions, machine, code, and a short list of variables.

    The same processor, instruction set, threads and versions are to give the same bits.
    """
    import torch

    from ppr.engine.device import describe_device

    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": describe_device(device),
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "variables": {name: os.environ[name] for name in _SHOWN_VARIABLES if name in os.environ},
        "code": {**code_version(), "components": components_of(config)},
    }


def components_of(config: Config) -> dict[str, str]:
    """`kind/name` -> digest of the components that a run follows from, those of its inputs too.

    An input's are those that it was made with; how it was measured is not among them.
    """
    found = code.components(config.values)
    for each in config.inputs.values():
        if is_finished(each):
            recorded = code.recorded(finished_summary(each) or {})
            found |= {k: v for k, v in recorded.items() if not k.startswith("evaluator/")}
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def code_version() -> dict[str, Any]:
    """ppr's version and, in a source tree, its git commit and whether files differ from it."""
    source = Path(ppr.__file__).resolve().parent.parent
    found: dict[str, Any] = {"version": ppr.__version__, "commit": None, "dirty": None}
    if (source / ".git").exists() and shutil.which("git"):
        git = ["git", "-C", str(source)]
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
        status = [*git, "status", "--porcelain", "--", "ppr", "configs"]
        changed = subprocess.run(status, capture_output=True, text=True, check=False)
        if commit.returncode == 0:
            found |= {"commit": commit.stdout.strip(), "dirty": bool(changed.stdout.strip())}
    return found
