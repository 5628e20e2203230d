"""Unlearning: KLoM by loops and scipy, the convex problem by scipy's minimiser."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import entropy

from ppr.config.compose import compose
from ppr.evaluators.unlearning.klom import klom, margins
from ppr.launchers.execute import execute
from ppr.run import make_task, open_bench


def test_margins() -> None:
    logits, targets = torch.randn(3, 5, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2])
    found = margins(logits, targets)
    for model in range(3):
        for row, y in enumerate(targets.tolist()):
            own = logits[model, row].numpy()
            expected = own[y] - logsumexp(np.delete(own, y))
            assert found[model, row].item() == pytest.approx(expected)


def test_klom_is_the_binned_divergence_of_each_sample() -> None:
    random = np.random.RandomState(0)
    p = random.randn(40, 6) * [1, 2, 1, 80, 1, 0]
    q = random.randn(40, 6) * [1, 1, 1, 80, 1, 0] + [0, 0, 3, 90, 50, 0]
    found = klom(torch.from_numpy(p), torch.from_numpy(q))
    for column in range(6):
        sides = [np.clip(side[:, column], -100, 100) for side in (p, q)]
        ends = min(s.min() for s in sides), max(s.max() for s in sides)
        ends = ends if ends[1] > ends[0] else (ends[0], ends[0] + 1)
        shares = [np.histogram(side, bins=20, range=ends)[0] / 40 for side in sides]
        expected = sum(a * np.log(a / max(b, 1e-5)) for a, b in zip(*shares, strict=True) if a > 0)
        assert found[column].item() == pytest.approx(expected, abs=1e-9)
    same = klom(torch.from_numpy(p), torch.from_numpy(p))
    torch.testing.assert_close(same, torch.zeros(6, dtype=torch.float64))
    assert entropy([0.5, 0.5], [0.25, 0.75]) == pytest.approx(
        klom(torch.tensor([[0.0], [0], [1], [1]]), torch.tensor([[0.0], [1], [1], [1]]), 2).item()
    )


def study(tmp_path, *words: str):
    from ppr.engine.bench import Watcher

    config = compose(["experiment=unlearning_convex", "dataset.limit=120", *words])
    return make_task(open_bench(config, tmp_path, Watcher()))


def test_newton_finds_the_minimum(tmp_path) -> None:
    task = study(tmp_path)
    kept = ~task._forget_set()
    x, y = task.x[kept].numpy(), task.y[kept].numpy()
    size = x.shape[1] * 10

    def value(flat):
        w = flat.reshape(x.shape[1], 10)
        logits = x @ w
        total = logsumexp(logits, axis=1).sum() - logits[np.arange(len(y)), y].sum()
        wrong = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
        wrong[np.arange(len(y)), y] -= 1
        return total + (flat**2).sum() / 2, (x.T @ wrong + w).ravel()

    found = minimize(value, np.zeros(size), jac=True, options={"gtol": 1e-8, "maxiter": 2000})
    np.testing.assert_allclose(task._solve(kept).numpy().ravel(), found.x, atol=1e-5)


def test_the_hessian_is_that_of_the_loss(tmp_path) -> None:
    task = study(tmp_path, "dataset.limit=20")
    everyone = torch.ones(len(task.x), dtype=torch.bool)
    w = torch.randn(task.x.shape[1], 10, dtype=torch.float64)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        logits = task.x @ flat.view_as(w)
        return torch.nn.functional.cross_entropy(logits, task.y, reduction="sum") + (
            flat.square().sum() / 2
        )

    exact = torch.func.hessian(loss)(w.flatten())
    torch.testing.assert_close(task._hessian(w, everyone), exact)


def test_matching_reaches_what_it_aims_at_and_newton_is_the_better_aim() -> None:
    words = ["experiment=unlearning_convex", "dataset.limit=300", "task.forget=15"]

    def error(*more: str) -> float:
        return float(execute(compose([*words, *more]))["metrics"]["error"]["forget"])

    nothing = error("task.method=nothing")
    long = ("task.steps=3000", "task.lr=0.08")
    assert error("task.method=oracle", *long) < 0.05 * nothing
    newton = error(*long)
    assert newton < error("task.attribution=influence", *long) < nothing


def test_klom_study_runs_and_orders_the_sides() -> None:
    small = ["models=12", "datamodels=12", "samples=150", "forget=8", "train_steps=60", "steps=15"]
    words = ["experiment=unlearning_klom", *(f"task.{word}" for word in small)]
    found = execute(compose(words))["metrics"]
    assert found.keys() >= {"nothing", "floor", "descent", "ascent", "both", "matching", "oracle"}
    assert found["floor"]["forget"] < found["nothing"]["forget"]
    gain = found.pop("gain")
    assert gain["both"] == found["both"]["forget"] - found["matching"]["forget"]
    assert all(value >= 0 for side in found.values() for value in side.values())
