"""What the sweep tests share: the toy experiment, and `ppr` as a function."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppr import registry
from ppr.cli.run import command as run
from ppr.cli.sweep import command as sweep
from ppr.config import places
from ppr.errors import PprError

PLUGIN = Path(__file__).with_name("sweep_toy.py")
REPOSITORY = PLUGIN.parent.parent
EXPERIMENT = """# @package _global_
defaults:
  - override /task: sweep_toy
  - override /dataset: sweep_toy_points
  - override /optimizer: sgd
engine: {epochs: 3, batch_size: 16, log_every: 1, checkpoint_seconds: 0, device: cpu}
"""


@pytest.fixture
def ppr(tmp_path, monkeypatch, capsys):
    """`ppr("run -m seed=0,1")` with the toy experiment, which takes 12 steps."""
    configs = tmp_path / "configs"
    (configs / "experiment").mkdir(parents=True)
    (configs / "experiment" / "sweep_toy.yaml").write_text(EXPERIMENT)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(registry, "_plugin_files", [])
    monkeypatch.setattr(places, "_own_folders", [])
    registry.add_plugin(PLUGIN)

    def call(line: str, *words: str):
        command, *rest = line.split()
        given = [*rest, *words]
        if command == "run":
            given += ["--config-dir", str(configs), "experiment=sweep_toy"]
        entry = {"run": run, "sweep": sweep}[command]
        capsys.readouterr()
        try:
            code, error = entry.main(given, standalone_mode=False) or 0, ""
        except PprError as refusal:
            code, error = refusal.exit_code, str(refusal)
            assert "\n" not in error
        shown = capsys.readouterr()
        return SimpleNamespace(code=code, out=shown.out, err=shown.err, error=error)

    call.configs = configs
    call.command = [sys.executable, "-c", "from ppr.cli.main import main; main()"]
    yield call
    registry._index.cache_clear()


def status(ppr, sweep: str = "") -> list[dict]:
    """The points of a sweep, the newest if it is not named, as `ppr sweep status --json` says."""
    return json.loads(ppr(f"sweep status --json {sweep}").out)["points"]


def newest(ppr) -> str:
    """The id of the newest sweep."""
    return json.loads(ppr("sweep list --json").out)[-1]["sweep"]
