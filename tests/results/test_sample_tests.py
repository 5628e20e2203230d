"""Predictions that a run keeps on request, and the paired tests over samples."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ppr.cli.main import cli
from ppr.config import identity
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.samples import show_samples, shown_samples
from ppr.errors import BadRequest, PprError, RunFailed
from ppr.evaluators.classification.accuracy import top_accuracies
from ppr.launchers.execute import execute
from ppr.papers.sample_tests import bootstrap, mcnemar, sample_tests
from ppr.results.predictions import Predictions, keep, kept, read_kept

COUNTS = st.integers(0, 60)
FACTS = {"split": "test", "data": "abc"}


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_binomial_sum(b: int, c: int) -> None:
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    assert mcnemar(b, c) == pytest.approx(min(1, 2 * tail), rel=1e-9)
    if n:
        assert mcnemar(b, c) == pytest.approx(stats.binomtest(b, n).pvalue, rel=1e-9)


def test_the_bootstrap_is_that_of_drawing_samples_again() -> None:
    rng = np.random.default_rng(3)
    shift = rng.choice([-1, 0, 0, 0, 1, 1], size=400).astype(float)
    drawn = [shift[rng.integers(0, 400, 400)].mean() for _ in range(20_000)]
    low, high = bootstrap(shift)
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.006)
    assert (low, high) == bootstrap(np.sort(shift))
    assert bootstrap(np.full(5, 0.25)) == (0.25, 0.25)


def a_run(folder: Path, right: list[int], target: list[int] | None = None, **facts: str) -> Path:
    truth = np.array(target or [0] * len(right))
    hit = np.array(right)
    folder.mkdir()
    keep(folder, "knn", Predictions(truth, truth + 1 - hit, hit.astype(float)), FACTS | facts)
    return folder


def test_two_networks_on_the_same_samples(tmp_path: Path) -> None:
    one = a_run(tmp_path / "a", [1] * 30 + [0] * 12 + [1] * 3 + [0] * 5)
    other = a_run(tmp_path / "b", [1] * 30 + [1] * 12 + [0] * 3 + [0] * 5)
    (found,) = sample_tests([one], [other])
    assert (found.first_alone, found.second_alone, found.samples) == (3, 12, 50)
    assert found.difference == pytest.approx(9 / 50)
    assert found.p_value == pytest.approx(stats.binomtest(3, 15).pvalue)
    # Drawn again, the difference is that of a multinomial: near its normal law at 50 samples.
    error = math.sqrt((15 / 50 - (9 / 50) ** 2) / 50)
    normal = 0.18 - 1.96 * error, 0.18 + 1.96 * error
    assert (found.low, found.high) == pytest.approx(normal, abs=0.02)


def test_several_seeds_a_side_have_an_interval_and_no_mcnemar(tmp_path: Path) -> None:
    sides = [[a_run(tmp_path / f"{s}{n}", [1, 0, n, s]) for n in (0, 1)] for s in (0, 1)]
    (found,) = sample_tests(*sides)
    assert (found.networks, found.difference, found.p_value) == ((2, 2), 0.25, None)


def test_what_is_of_other_samples_is_not_paired(tmp_path: Path) -> None:
    one = a_run(tmp_path / "a", [1, 0, 1])
    with pytest.raises(BadRequest, match="other samples"):
        sample_tests([one], [a_run(tmp_path / "b", [1, 0, 1], data="other")])
    with pytest.raises(BadRequest, match="validation"):
        sample_tests([one], [a_run(tmp_path / "c", [1, 0, 1], split="validation")])
    with pytest.raises(BadRequest, match="other samples"):
        sample_tests([one], [a_run(tmp_path / "d", [1, 0, 1], target=[1, 0, 0])])
    empty = tmp_path / "none"
    empty.mkdir()
    assert sample_tests([one], [empty]) == []
    assert sample_tests([one], [None]) == []
    (one / "predictions" / "knn.parquet").write_bytes(b"x")
    with pytest.raises(RunFailed, match="knn.parquet"):
        sample_tests([one], [one])


def test_what_is_shown_adds_up_to_top1() -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 4, (200, 7), generator=random).float()  # with ties
    target = torch.randint(0, 7, (200,), generator=random)
    with shown_samples(True) as shown:
        found = top_accuracies(scores, target)
    assert shown[0].right.mean() == pytest.approx(found["top1"], rel=1e-12)
    assert (shown[0].predicted == scores.argmax(1).numpy()).all()
    with shown_samples(False) as shown:
        show_samples(scores, target, target, target)
    assert shown == []


TRAIN = ["experiment=supcon_digits", "model=mlp", "engine.max_steps=2", "evaluator=[knn]"]
TRAIN += ["engine.evaluate_every=0", "engine.monitor=null"]


def test_to_keep_is_no_part_of_the_id() -> None:
    plain, keeping = compose(TRAIN), compose([*TRAIN, "evaluator.knn.keep=true"])
    assert keeping["evaluator"]["knn"]["keep"] is True
    assert (plain.variant, plain.run_id) == (keeping.variant, keeping.run_id)
    assert not identity.is_science("evaluator.knn.keep")
    assert identity.is_science("evaluator.knn.k")
    with pytest.raises(BadRequest, match="has no such field"):
        compose(
            ["experiment=supcon_digits", "evaluator=[uniformity]", "evaluator.uniformity.keep=true"]
        )


def test_a_run_keeps_what_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))

    def run(*words: str) -> tuple[dict[str, Any], Path]:
        config = compose([*TRAIN, *words])
        found = execute(config, Watcher())
        return found, tmp_path / "supcon_digits" / config.variant / f"seed={config.seed}"

    summary, folder = run("evaluator.knn.keep=true")
    found, facts = read_kept(folder, "knn")
    assert kept(folder) == ["knn"]
    assert facts == {"split": "test", "data": summary["data"]["digest"]}
    assert found.right.mean() == pytest.approx(summary["metrics"]["knn"]["top1"])
    _, plain = run("seed=1")
    assert kept(plain) == []
    with pytest.raises(PprError, match="without training: ppr evaluate") as refused:
        run("seed=1", "evaluator.knn.keep=true")
    asked = shlex.split(str(refused.value).partition("training: ppr ")[2])
    done = CliRunner().invoke(cli, [*asked, "--json"], catch_exceptions=False)
    again = json.loads(done.stdout.splitlines()[-1])
    other = f"supcon_digits/{again['variant']}/seed=1"
    shown = (
        CliRunner()
        .invoke(
            cli, ["compare", f"supcon_digits/{folder.parent.name}/seed=0", other, "--no-curves"]
        )
        .stdout
    )
    table = shown.split("sample by sample")[1]
    assert " 500 " in table
    assert "McNemar" in table
