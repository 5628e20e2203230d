"""A run's life: claim its directory, train, write the summary last; or find it finished."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

import ppr
from ppr.config import inputs
from ppr.config.compose import Config
from ppr.errors import RunFailed
from ppr.results import tree
from ppr.results.files import read_json, write_atomic, write_json
from ppr.tasks.bench import Bench, Outcome, Watcher

_PACKAGES = ("torch", "torchvision", "numpy", "datasets", "hydra-core", "torchmetrics")
_SHOWN_VARIABLES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONHASHSEED")
_log = logging.getLogger(__name__)


def run_directory(config: Config) -> Path:
    """Where the run of a config lies in the results tree."""
    root = tree.results_root(config["results"]["root"])
    return tree.run_path(root, config.experiment, config.variant, config.seed)


def finished_summary(config: Config) -> dict[str, Any] | None:
    """The summary of a run that has been done, or None."""
    path = run_directory(config) / tree.SUMMARY
    return dict(read_json(path)) if path.exists() else None


def execute(
    config: Config, watcher: Watcher | None = None, *, force: bool = False
) -> dict[str, Any]:
    """Do the run, go on with it, or find it done; returns its summary.

    Runs whose results it takes as inputs come first, where they are not done.

    Raises:
        BadRequest: a component, the data or the device cannot be had as asked.
        RunBusy: another process is at it.
        RunFailed: it broke off; `failure.json` says how, checkpoints stay.
        Interrupted: a signal asked it to stop; the same call goes on.
    """
    for needed in inputs.needed(config):
        execute(needed, watcher)
    folder = run_directory(config)
    with tree.claim(folder):
        done = finished_summary(config)
        if done is not None and not force:
            return done
        if force:
            _keep_aside(folder)
        return _execute(config, folder, watcher or Watcher())


def _execute(config: Config, folder: Path, watcher: Watcher) -> dict[str, Any]:
    from ppr.engine.checkpoints import drop_checkpoints
    from ppr.engine.interrupts import stop_on_signal

    (folder / tree.FAILURE).unlink(missing_ok=True)
    started = time.perf_counter()
    with stop_on_signal() as stop:
        try:
            bench = open_bench(config, folder, watcher)
            bench.stop = stop
            environment = _environment(bench)
            _write_request(config, folder, environment)
            outcome = make_task(bench).execute()
            seconds = round(time.perf_counter() - started, 3)
            summary = _summary(config, outcome, environment, seconds)
            write_json(folder / tree.SUMMARY, summary)
        except RunFailed as error:
            write_json(folder / tree.FAILURE, {"error": str(error), "time": _now()})
            raise
        except OSError as error:
            message = f"{error.filename or folder}: {error.strerror or error}"
            raise RunFailed(message) from error
    drop_checkpoints(folder / tree.CHECKPOINTS)
    return summary


def _summary(
    config: Config, outcome: Outcome, environment: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "schema": tree.SCHEMA,
        "experiment": config.experiment,
        "variant": config.variant,
        "seed": config.seed,
        "run_id": config.run_id,
        "scale": config["scale"],
        "metrics": outcome.metrics,
        "untrained": outcome.untrained,
        "best": outcome.best,
        "protocol": outcome.protocol,
        "data": outcome.data,
        "cost": {"seconds": seconds, **outcome.cost},
        "code": environment["code"],
        "finished": _now(),
    }
    summary["digest"] = record_digest(summary, dict(config.values), environment)
    return summary


def open_bench(config: Config, folder: Path, watcher: Watcher) -> Bench:
    """Device, precision and settings of a run, with the global generators seeded."""
    from ppr.engine.device import configure, pick_device, settle_precision
    from ppr.engine.settings import EngineSettings

    settings = EngineSettings(**config["engine"])
    device = pick_device(settings.device)
    configure(settings)
    precision = settle_precision(settings.precision, device)
    return Bench(config.values, device, precision, folder, settings, watcher)


def make_task(bench: Bench) -> Any:
    """Build the task; its weights depend on the seed alone."""
    from ppr.engine.seeding import seed_everything

    seed_everything(bench.seed, "initialise")
    return bench.build("task", bench)


def record_digest(
    summary: Mapping[str, Any], config: Mapping[str, Any], environment: Mapping[str, Any]
) -> str:
    """SHA-256 over a run's config, results, code and environment: an edit by hand shows."""
    content = {key: value for key, value in summary.items() if key != "digest"}
    text = json.dumps([content, config, environment], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _write_request(config: Config, folder: Path, environment: Mapping[str, Any]) -> None:
    write_atomic(folder / tree.CONFIG, yaml.safe_dump(dict(config.values), sort_keys=False))
    command = " ".join(["ppr run", *config.overrides])
    write_json(folder / tree.REQUEST, {"overrides": list(config.overrides), "command": command})
    write_json(folder / tree.ENVIRONMENT, environment)


def _environment(bench: Bench) -> dict[str, Any]:
    """What a run was run with: versions, device, code, and a short list of variables."""
    from ppr.engine.device import describe_device

    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": describe_device(bench.device),
        "variables": {name: os.environ[name] for name in _SHOWN_VARIABLES if name in os.environ},
        "code": code_version(),
    }


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


def _keep_aside(folder: Path) -> None:
    """Move an earlier run's files out of the way; nothing is overwritten."""
    own = {tree.LOCK, tree.HOLDER}
    files = [entry for entry in folder.iterdir() if entry.name not in own and entry.name[0] != "."]
    if not files:
        return
    aside = folder.parent / f".{folder.name}-replaced-{datetime.now():%Y%m%dT%H%M%S%f}"
    aside.mkdir()
    for entry in files:
        entry.rename(aside / entry.name)
    _log.info("the earlier run is kept in %s", aside)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
