"""A pytest plug-in for the sweep tests: the toy experiment, and `ppr` as a function."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppr import registry
from ppr.cli.run import command as run
from ppr.cli.sweep import command as sweep
from ppr.config import places
from ppr.errors import PprError
from ppr.launchers import estimate

PLUGIN = Path(__file__).with_name("sweep_toy.py")
EXPERIMENT = """# @package _global_
defaults:
  - override /task: sweep_toy
  - override /dataset: sweep_toy_points
  - override /optimizer: sweep_toy_descent
engine: {epochs: 3, batch_size: 16, log_every: 1, checkpoint_seconds: 0, device: cpu}
"""


class Ppr:
    """`ppr("run -m seed=0,1")` in this process, with the toy experiment, which takes 12 steps."""

    def __init__(self, configs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.configs, self.capsys = configs, capsys
        main = "from ppr.cli.main import main; main()"
        self.command = [sys.executable, "-c", main, "--plugin", str(PLUGIN)]

    def __call__(self, line: str, *words: str) -> SimpleNamespace:
        command, *rest = line.split()
        given = [*rest, *words]
        if command == "run":
            given += ["--config-dir", str(self.configs), "experiment=sweep_toy"]
        self.capsys.readouterr()
        try:
            entry = {"run": run, "sweep": sweep}[command]
            code, error = entry.main(given, standalone_mode=False) or 0, ""
        except PprError as refusal:
            code, error = refusal.exit_code, str(refusal)
            assert "\n" not in error
        shown = self.capsys.readouterr()
        return SimpleNamespace(code=code, out=shown.out, err=shown.err, error=error)

    def status(self, sweep: str = "") -> list[dict]:
        """The points of a sweep, the newest if it is not named."""
        return json.loads(self(f"sweep status --json {sweep}").out)["points"]

    def newest(self) -> str:
        """The id of the newest sweep."""
        return json.loads(self("sweep list --json").out)[-1]["sweep"]

    @staticmethod
    def until(met: Callable[[], object], seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.2)


@pytest.fixture
def ppr(tmp_path, monkeypatch, capsys):
    configs = tmp_path / "configs"
    (configs / "experiment").mkdir(parents=True)
    (configs / "experiment" / "sweep_toy.yaml").write_text(EXPERIMENT)
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN.parent.parent))
    monkeypatch.setattr(registry, "_plugin_files", [])
    monkeypatch.setattr(places, "_own_folders", [configs])
    monkeypatch.setattr(estimate, "_measured", lambda configs: {})  # seconds for a process each
    registry.add_plugin(PLUGIN)
    yield Ppr(configs, capsys)
    registry._index.cache_clear()


@pytest.fixture
def toy_is_monitored(ppr):
    """The toy experiment with a validation metric; its evaluator is there in name only."""
    path = ppr.configs / "experiment" / "sweep_toy.yaml"
    text = path.read_text().replace("engine: {", "engine: {evaluate_every: 1, monitor: toy/score, ")
    path.write_text(text)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """`commands("squeue", "echo hello")` puts that script on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)

    add.folder = folder
    return add


@pytest.fixture
def fake_slurm(commands):
    """An sbatch that counts its calls and takes as many as the file `takes` says.

    `fake_slurm.script()` and `.environment()` are what it was last handed.
    """
    calls = commands.folder / "calls"
    commands("srun", "")
    commands("scontrol", "echo 'MaxArraySize            = 1001'")
    commands("scancel", f'echo scancel "$@" >> {calls}')
    commands(
        "sbatch",
        f"""if [ "$1" = --version ]; then exit; fi
        echo sbatch >> {calls}
        /usr/bin/env > {commands.folder}/environment
        number=$(/bin/grep -c sbatch {calls})
        if [ "$number" -gt "$(/bin/cat {commands.folder}/takes)" ]; then
          echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2
          echo 'sbatch: error: Batch job submission failed: Job violates policy' >&2
          exit 1
        fi
        echo "Submitted batch job $((number + 40))" """,
    )
    (commands.folder / "takes").write_text("99")

    def environment() -> dict[str, str]:
        lines = (commands.folder / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def script() -> list[str]:
        (written,) = Path(os.environ["PPR_RESULTS"]).glob(".sweeps/*/jobs/*submission.sh")
        return written.read_text().splitlines()

    commands.environment, commands.script = environment, script
    commands.calls = lambda: calls.read_text().split("\n")[:-1] if calls.exists() else []
    return commands
