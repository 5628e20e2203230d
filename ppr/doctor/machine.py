"""Checks of the machine: versions, devices, precision, disk, data."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ppr
from ppr.commands import command_line
from ppr.doctor.finding import Finding, State
from ppr.engine.processor import processor_name
from ppr.errors import PprError

_NEEDED = ("torch", "torchvision", "hydra-core", "datasets")
_OPTIONAL = {
    "optuna": "sweeper=optuna", "submitit": "launcher=slurm", "timm": "model=timm/…",
    "wandb": "tracker=wandb",
}  # fmt: skip
_EXTRAS = {"submitit": "slurm", "optuna": "search"}
_GB = 1e9
_LITTLE_GB, _NO_GB = 2.0, 0.05


def versions() -> Iterator[Finding]:
    yield Finding("ppr", "ok", f"{ppr.__version__}, python {platform.python_version()}")
    for package in _NEEDED:
        found = _version(package)
        again = "" if found else f"pip install {package}"
        yield Finding(package, "ok" if found else "problem", found or "not installed", again)
    for package, purpose in _OPTIONAL.items():
        found = _version(package)
        get = "" if found else f"pip install 'ppr[{_EXTRAS.get(package, package)}]'"
        # Where there is a cluster, its launcher is meant to work.
        wanted = package == "submitit" and shutil.which("sbatch") is not None
        state: State = "warning" if wanted and not found else "ok"
        yield Finding(package, state, found or f"not installed; {purpose} needs it", get)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def devices() -> Iterator[Finding]:
    """The processor, the GPUs, and what each computes in."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        torch = import_module("torch")
    except Exception as error:  # a half-installed torch raises OSError, AttributeError, …
        yield Finding("cpu", "ok", f"{processor_name()}, {cores} cores")
        said = " ".join(str(error).split())
        yield Finding("torch", "problem", f"cannot be imported: {said}", "install torch again")
        return
    threads = torch.get_num_threads()
    says = f"{processor_name()}, {cores} cores, torch uses {threads} threads"
    many = threads > (cores or threads)
    advice = f"set OMP_NUM_THREADS={cores}" if many else ""
    yield Finding("cpu", "warning" if many else "ok", says, advice)
    yield _precision(torch.device("cpu"))
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        says = f"{card.name}, {card.total_memory / _GB:.0f} GB, compute {card.major}.{card.minor}"
        driver = f", CUDA {torch.version.cuda}, driver {_driver() or 'unknown'}"
        yield Finding(f"cuda:{index}", "ok", says + driver)
        yield _precision(torch.device("cuda", index))
    if torch.backends.mps.is_available():
        yield Finding("mps", "ok", f"Apple GPU, {_memory_gb():.0f} GB shared")
        yield _precision(torch.device("mps"))
    elif not torch.cuda.device_count():
        yield _no_gpu(torch.version.cuda)


def _no_gpu(cuda: str | None) -> Finding:
    driver = _driver()
    if not driver:
        return Finding("gpu", "ok", "none: runs are on the CPU")
    if cuda is None:
        says = f"a driver is here ({driver}), but this torch is built for the CPU alone"
        return Finding("gpu", "warning", says, "install a CUDA build: pytorch.org/get-started")
    says = f"a driver is here ({driver}), but torch for CUDA {cuda} finds no GPU"
    return Finding("gpu", "warning", says, "look at nvidia-smi and CUDA_VISIBLE_DEVICES")


def _precision(device: object) -> Finding:
    """What a small product can be computed in, and what `engine.precision=auto` comes to."""
    import torch

    from ppr.engine.device import has_fast_bf16, settle_precision

    assert isinstance(device, torch.device)
    works = []
    for name, dtype in {
        "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16
    }.items():  # fmt: skip
        try:
            one = torch.ones(8, 8, dtype=dtype, device=device)
            assert (one @ one).float().mean().item() == 8
        except (RuntimeError, TypeError, AssertionError):
            continue
        works.append(name)
    fast = "fast" if has_fast_bf16(device) else "no faster than fp32"
    says = ", ".join(f"bf16 ({fast})" if name == "bf16" else name for name in works)
    auto = settle_precision("auto", device)
    check = f"precision on {device}"
    if "fp32" not in works:
        return Finding(check, "warning", "does not compute", f"engine.device=cpu, not {device}")
    return Finding(check, "ok", f"{says}; engine.precision=auto is {auto}")


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GB


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=4, check=False)
    except subprocess.TimeoutExpired:
        return "that does not answer"
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else "that fails"


def results() -> Iterator[Finding]:
    """Whether runs can be written, locked and renamed in the results tree, and the room there."""
    from ppr.config.places import results_root
    from ppr.results.files import write_json
    from ppr.results.tree import claim

    root = results_root().absolute()
    place = _existing(root)
    elsewhere = "name another place: PPR_RESULTS or results.root=…"
    try:
        with tempfile.TemporaryDirectory(prefix=".ppr-doctor-", dir=place) as aside:
            run = Path(aside) / "run"
            with claim(run):
                write_json(run / "summary.json", {})
    except (OSError, PprError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        yield Finding("results", "problem", f"{root}: cannot be written: {said}", elsewhere)
        return
    yield _room("results", root, place)


def cache() -> Iterator[Finding]:
    from huggingface_hub import constants

    from ppr.config.places import cache_root

    for name, root, variable in (
        ("cache", cache_root(), "PPR_CACHE"),
        ("hub cache", Path(constants.HF_HUB_CACHE), "HF_HOME"),
    ):
        place = _existing(root.absolute())
        if os.access(place, os.W_OK):
            yield _room(name, root, place)
        else:
            says = f"{root}: cannot be written"
            yield Finding(name, "warning", says, f"name another place: {variable}")


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that there is."""
    return next(place for place in (path, *path.parents) if place.is_dir())


def _room(check: str, root: Path, place: Path) -> Finding:
    free = shutil.disk_usage(place).free / _GB
    says = f"{root}: {free:,.1f} GB free"
    if free > _LITTLE_GB:
        return Finding(check, "ok", says)
    full = check == "results" and free < _NO_GB
    return Finding(check, "problem" if full else "warning", says, "make room, or move it")


def data() -> Iterator[Finding]:
    """The folder of data sets, and which of them are on this machine."""
    from ppr.data.hub import mirror
    from ppr.data.sources import described, sources

    try:
        root = mirror(None)
    except PprError as error:
        yield Finding("PPR_DATA", "warning", str(error), "set PPR_DATA to a folder that is there")
        return
    yield Finding("PPR_DATA", "ok", str(root) if root else "not set: only the hub's cache is used")
    found = [described(name, source) for name, source in sources((), None).items()]
    here = [item["name"] for item in found if item["folder"]]
    broken = {
        item["name"]: item["where"]
        for item in found
        if not item["folder"] and item["where"] != "not here"
    }
    says = f"{len(here)} of {len(found)} here: {', '.join(here)}"
    missing = len(found) - len(here) - len(broken)
    get = "the others: ppr data fetch NAME" if missing else ""
    yield Finding("data sets", "ok", says, get)
    for name, where in broken.items():
        yield Finding(
            name, "warning", where, f"{command_line('data', 'fetch', name)}, or copy it again"
        )
