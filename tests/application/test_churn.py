"""Churn campaigns: profits, the rules' fits, the study's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.run import execute_here, make_task, open_bench
from ppr.studies.application.churn_profit import RIDGE, fit, scores, weighted_logistic


@pytest.fixture
def study(tmp_path: Path):
    config = compose(["experiment=churn_profit", "task.customers=400"])
    return make_task(open_bench(config, tmp_path, Watcher()))


def test_profit_of_each_outcome(study) -> None:
    """A leaver accepts in 3 of 10 cases: 0.3 (100 - 10 - 1) - 0.7; who stays takes the gift."""
    churn, value = torch.tensor([1.0, 0.0]), torch.tensor([100.0, 100.0])
    assert study.profit(churn, value).tolist() == pytest.approx([26.0, -11.0])
    expected = 0.25 * 26.0 + 0.75 * -11.0
    assert study.profit(torch.tensor(0.25), torch.tensor(100.0)).item() == pytest.approx(expected)


def test_logistic_fit_is_scikit_learns() -> None:
    random = np.random.RandomState(0)
    x = random.normal(size=(300, 5))
    y = (random.rand(300) < 1 / (1 + np.exp(-x @ random.normal(size=5)))).astype(float)
    theirs = LogisticRegression(C=1 / (2 * RIDGE * 300), tol=1e-10, max_iter=1000).fit(x, y)
    labels = torch.from_numpy(y)
    ours = fit(torch.from_numpy(x), lambda s: F.binary_cross_entropy_with_logits(s, labels))
    np.testing.assert_allclose(ours[1:].numpy(), theirs.coef_[0], atol=1e-5)
    assert ours[0].item() == pytest.approx(theirs.intercept_[0], abs=1e-5)
    assert scores(ours, torch.zeros(1, 5).double()).item() == ours[0].item()


def test_profits_weigh_the_logistic_loss() -> None:
    s, pi = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([3.0, -4.0, 0.0])
    expected = (3 * np.log1p(np.exp(-2.0)) + 4 * np.log1p(np.exp(-1.0))) / 3
    assert weighted_logistic(s, pi).item() == pytest.approx(expected)


def test_no_rule_beats_perfect_information(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    words = ["experiment=churn_profit", "task.customers=400", "task.misspecified=true"]
    made = {}
    for rule in ("oracle", "average", "individual", "decision", "relaxed"):
        metrics = execute_here(compose([*words, f"task.rule={rule}"]), Watcher())["metrics"]
        made[rule] = metrics["decision"]
    assert made["oracle"]["regret"] == 0
    for each in made.values():
        assert each["regret"] >= 0
        assert each["profit"] + each["regret"] == pytest.approx(made["oracle"]["profit"])
    assert made["individual"]["regret"] < made["average"]["regret"]
