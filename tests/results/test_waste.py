"""`ppr clean`: what goes, what stays, and what it says before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ppr.cli.clean import command
from ppr.errors import BadRequest, RunFailed
from ppr.results.lock import claim
from ppr.results.tree import scan

VARIANT = "0123456789"


def summary(experiment: str, seed: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "experiment": experiment,
        "variant": VARIANT,
        "seed": seed,
        "run_id": "abcdef0123",
        "scale": "desk",
        "metrics": {"knn": {"top1": 0.5}},
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Finished runs, one with a kill's checkpoints; a failed, an interrupted, a replaced one."""
    for experiment, seed in (("done", 0), ("done", 1)):
        folder = tmp_path / experiment / VARIANT / f"seed={seed}"
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(summary(experiment, seed)))
        (folder / "model.pt").write_bytes(b"w" * 1000)
    killed = tmp_path / "done" / VARIANT / "seed=1" / "checkpoints"
    killed.mkdir()
    (killed / "step-1.pt").write_bytes(b"c" * 5000)
    replaced = tmp_path / "done" / VARIANT / ".seed=0-replaced-20260101T000000000000"
    replaced.mkdir()
    (replaced / "summary.json").write_text("{}")
    failed = tmp_path / "failed" / VARIANT / "seed=0"
    failed.mkdir(parents=True)
    (failed / "failure.json").write_text(json.dumps({"reason": "no", "time": "2026"}))
    (tmp_path / "broken" / VARIANT / "seed=0").mkdir(parents=True)
    return tmp_path


def clean(root: Path, *words: str) -> dict[str, Any]:
    done = CliRunner().invoke(command, [*words, "--results", str(root), "--json"])
    assert done.exception is None, done.exception
    return dict(json.loads(done.stdout))


def kinds(found: dict[str, Any]) -> list[str]:
    return sorted(item["kind"] for item in found["found"])


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_a_dry_run_lists_with_sizes_and_removes_nothing(root: Path) -> None:
    before = files(root)
    found = clean(root)
    assert kinds(found) == ["checkpoints", "failed", "replaced"]
    sizes = {item["kind"]: item["bytes"] for item in found["found"]}
    assert sizes["checkpoints"] == 5000
    assert not any(item["removed"] for item in found["found"])
    assert files(root) == before


def test_yes_removes_them_and_no_result(root: Path) -> None:
    results = [r.summary for r in scan(root, published=False).records if r.summary]
    assert all(item["removed"] for item in clean(root, "--yes")["found"])
    assert [r.summary for r in scan(root, published=False).records if r.summary] == results
    left = files(root)
    assert not any("checkpoints" in name or "replaced" in name for name in left)
    assert not any(name.startswith("failed") for name in left)
    assert f"done/{VARIANT}/seed=0/model.pt" in left
    assert f"broken/{VARIANT}/seed=0" in left
    assert clean(root)["found"] == []


def test_interrupted_runs_and_weights_go_by_name_alone(root: Path) -> None:
    assert kinds(clean(root, "weights", "interrupted", "--yes")) == [
        "interrupted", "weights", "weights",
    ]  # fmt: skip
    left = files(root)
    assert not any(name.endswith("model.pt") or name.startswith("broken") for name in left)
    assert f"done/{VARIANT}/seed=1/checkpoints" in left


def test_a_run_that_is_held_stays(root: Path) -> None:
    with claim(root / "failed" / VARIANT / "seed=0"):
        assert kinds(clean(root, "failed")) == []
    with claim(root / "done" / VARIANT / "seed=1"):
        done = CliRunner().invoke(command, ["checkpoints", "--yes", "--results", str(root)])
    assert isinstance(done.exception, RunFailed)
    assert "is being run by" in str(done.exception)
    assert (root / "done" / VARIANT / "seed=1" / "checkpoints").exists()


def test_what_is_asked_amiss_is_one_line(root: Path) -> None:
    for words, said in ((["replacd"], "did you mean 'replaced'"), (["--results", "no"], "no such")):
        done = CliRunner().invoke(command, words)
        assert isinstance(done.exception, BadRequest)
        assert said in str(done.exception)
