"""`ppr verify` finds what has been edited or does not come back; `ppr publish`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paper_toy import invoke
from scipy import stats

from ppr.errors import BadRequest, RunFailed
from ppr.papers import verify
from ppr.papers.records import faults
from ppr.papers.verify import Comparison, prediction
from ppr.results.tree import Record, record_digest, scan

pytest_plugins = ("paper_tree",)


def run_folder(root: Path, seed: int = 1) -> Path:
    return next(root.glob(f"toy_fast/*/seed={seed}"))


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def set_top1(summary: dict[str, Any], value: float = 0.99) -> None:
    summary["metrics"]["classifier"]["top1"] = value


def forge(root: Path, seed: int, value: float) -> None:
    """Edit a result and sign it anew, as only somebody who reads the code can."""
    record = next(r for r in scan(root).records if (r.experiment, r.seed) == ("toy_fast", seed))

    def change(summary: dict[str, Any]) -> None:
        set_top1(summary, value)
        summary["digest"] = record_digest(summary, record.config(), record.environment())

    edit(run_folder(root, seed) / "summary.json", change)


# --- records --------------------------------------------------------------------------------------


def test_an_honest_tree_verifies(root: Path) -> None:
    shown = invoke("verify", "toy")
    assert shown.exit_code == 0
    assert shown.output.endswith("toy: 4 records verified\n")
    assert "Fast" in shown.output
    assert "better" in shown.output


def swap_config(folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("lr: 0.5", "lr: 0.4"))


EDITS: dict[str, tuple[Callable[[Path], None], str]] = {
    "metric": (lambda f: edit(f / "summary.json", set_top1), "its digest does not fit"),
    "cost": (
        lambda f: edit(f / "summary.json", lambda s: s["cost"].update(device="GPU")),
        "its digest does not fit",
    ),
    "commit": (
        lambda f: edit(f / "summary.json", lambda s: s["code"].update(commit="0" * 40)),
        "its digest does not fit",
    ),
    "digest": (lambda f: edit(f / "summary.json", lambda s: s.pop("digest")), "has no digest"),
    "environment": (
        lambda f: edit(f / "environment.json", lambda e: e.update(python="2.7")),
        "its digest does not fit",
    ),
    "config": (swap_config, "its config is of variant"),
    "no config": (lambda f: (f / "config.yaml").unlink(), "config.yaml: cannot read"),
    "torn": (lambda f: (f / "summary.json").write_text('{"schema": 1,'), "not JSON"),
    "not finite": (
        lambda f: edit(f / "summary.json", lambda s: set_top1(s, float("nan"))),
        "metric classifier/top1 is nan",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_record_is_found(name: str, root: Path) -> None:
    change, said = EDITS[name]
    change(run_folder(root))
    shown = invoke("verify", "toy")
    assert shown.exit_code == 1
    found = [line for line in shown.output.splitlines() if line.startswith("OFF")]
    assert any("seed=1" in line and said in line for line in found), shown.output
    assert "seed=0" not in "".join(found)


def test_cells_and_verdicts_are_of_sound_records_alone(root: Path) -> None:
    edit(run_folder(root) / "summary.json", set_top1)
    shown = invoke("verify", "toy").output
    assert "99.0" not in shown.split("OFF")[0]
    assert "OFF  main.Fast.digits: shows " in shown
    assert "(n=1, no interval)" in shown


def test_a_run_under_another_variants_folder_is_found(root: Path) -> None:
    folder = run_folder(root)
    other = folder.parent.parent / "0123456789" / "seed=1"
    other.parent.mkdir()
    folder.rename(other)
    edit(other / "summary.json", lambda s: s.update(variant="0123456789"))
    (record,) = [r for r in scan(root).records if r.variant == "0123456789"]
    assert any("its config is of variant" in fault for fault in faults(record))


# --- published ------------------------------------------------------------------------------------


def test_published_records_stand_for_the_runs(root: Path, tmp_path: Path) -> None:
    live = invoke("verify", "toy").output
    clone = tmp_path / "clone"
    shown = invoke("publish", "toy", "--to", str(clone))
    assert shown.output.startswith("4 runs, ")
    first = (clone / "toy.jsonl").read_bytes()
    assert len(first.splitlines()) == 4
    assert len(first) < 4 * 5000
    assert invoke("verify", "toy", "--results", str(clone)).output == live
    # Published from what is published, and again: the same bytes.
    invoke("publish", "toy", "--results", str(clone))
    assert (clone / "toy.jsonl").read_bytes() == first
    assert [path.name for path in clone.iterdir()] == ["toy.jsonl"]


def test_an_edited_published_line_is_found(root: Path, tmp_path: Path) -> None:
    invoke("publish", "toy", "--to", str(tmp_path / "clone"))
    file = tmp_path / "clone" / "toy.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2]["config"]["model"]["hidden"] = [32]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shown = invoke("verify", "toy", "--results", str(file.parent))
    assert shown.exit_code == 1
    assert "toy_slow" in shown.output.split("OFF")[1]
    assert "its digest does not fit" in shown.output


def test_an_edited_run_is_not_published(root: Path) -> None:
    edit(run_folder(root) / "summary.json", set_top1)
    with pytest.raises(RunFailed, match=r"toy_fast/.*seed=1: its digest .* nothing published"):
        invoke("publish", "toy")
    assert not (root / "toy.jsonl").exists()


def test_a_paper_without_runs_is_refused(configs: Path) -> None:
    for name in ("publish", "verify"):
        with pytest.raises(BadRequest, match="toy: no finished run behind its cells; ppr repro"):
            invoke(name, "toy")


# --- done again -----------------------------------------------------------------------------------


def test_a_run_done_again_gives_the_same_bits(root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    shown = invoke("verify", "toy", "--rerun", "2")
    assert shown.exit_code == 0
    assert shown.output.count("again: toy_") == 2
    assert shown.output.count("  identical") == 2
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()} == before


def test_a_signed_lie_does_not_come_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both seeds say the like, so that a run done again cannot fall among them."""
    forge(root, 0, 0.990)
    forge(root, 1, 0.991)
    assert invoke("verify", "toy").exit_code == 0
    monkeypatch.setattr(verify, "sample", lambda records, *_: [records[0]])
    shown = invoke("verify", "toy", "--rerun", "1")
    assert shown.exit_code == 1
    assert "when done again, recorded 0.99, expected" in shown.output


def test_the_sample_is_random_and_repeatable() -> None:
    records = [Record("e", "v", seed, None, "finished", {}, Path()) for seed in range(50)]
    assert verify.sample(records, 5, 0) == verify.sample(records, 5, 0)
    assert verify.sample(records, 5, 0) != verify.sample(records, 5, 1)
    assert len({r.seed for r in verify.sample(records, 99, 0)}) == 50


def test_the_prediction_interval_is_the_t_distributions() -> None:
    """Against its definition: (x - mean) / (s sqrt(1 + 1/n)) is Student t with n - 1."""
    values = [0.5, 0.7, 0.65, 0.55]
    low, high = prediction(values, 0.1)
    scale = np.std(values, ddof=1) * np.sqrt(1 + 1 / 4)
    expected = stats.t.interval(0.9, 3, loc=np.mean(values), scale=scale)
    assert (low, high) == pytest.approx(expected)
    assert prediction([0.5], 0.05) == (None, None)


def test_one_more_seed_falls_in_it_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(3, 2, (2000, 6))
    inside = 0
    for *seeds, new in draws.tolist():
        low, high = prediction(seeds, 0.05)
        assert low is not None
        assert high is not None
        inside += low <= new <= high
    # 4 standard deviations of a binomial share at 2000 draws.
    assert inside / len(draws) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("again", "bounds", "fall"),
    [
        (0.5, (0.6, 0.7), "identical"),
        (0.65, (0.6, 0.7), "within"),
        (0.71, (0.6, 0.7), "outside"),
        (0.71, (None, None), "undecided"),
    ],
)
def test_how_a_value_falls(again: float, bounds: Any, fall: str) -> None:
    assert Comparison("r", "m", 0.5, again, *bounds).fall == fall
