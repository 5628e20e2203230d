"""Studies that repeat a figure of the authors, against the figure's own few lines written here."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.launchers.execute import execute
from ppr.studies.contrastive import ccem_relu


def metrics(*words: str) -> dict[str, dict[str, float]]:
    return dict(execute(compose(words), Watcher())["metrics"])


def test_losses_along_the_circle_by_loops() -> None:
    found = metrics("experiment=turned_embedding", "task.pairs=5", "task.steps=20")
    corners = [2 * math.pi * k / 5 for k in range(5)]

    def half(u: list[float], batch: tuple[int, ...]) -> float:
        total = 0.0
        for i in batch:
            match = math.exp(math.cos(u[i] - corners[i]))
            total -= math.log(match / sum(math.exp(math.cos(u[i] - corners[j])) for j in batch))
            total -= math.log(match / sum(math.exp(math.cos(u[j] - corners[i])) for j in batch))
        return total / len(batch) / 2

    full, mini = [], []
    for step in range(20):
        u = [2 * math.pi * step / 20, *corners[1:]]
        full.append(half(u, tuple(range(5))))
        mini.append(sum(half(u, pair) for pair in itertools.combinations(range(5), 2)) / 5)
    for name, losses in (("full", full), ("mini", mini)):
        assert found[name]["least"] == pytest.approx(min(losses))
        assert found[name]["greatest"] == pytest.approx(max(losses))
        assert found[name]["turned"] == pytest.approx(math.pi / 10 * losses.index(min(losses)))


def test_the_released_relu_panel_by_the_notebooks_own_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ccem_relu, "PAIRS", range(27, 29))
    monkeypatch.setattr(ccem_relu, "TEMPERATURES", np.array([0.5, 3.0]))
    found = metrics("experiment=ccem_relu_grid", "task.released=true", "task.steps=3")

    np.random.seed(1234)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        panels = []
        for _panel in ("infonce", "sigmoid"):
            cosines = []
            for t in (0.5, 3.0):
                for n in (27, 28):
                    x_u = np.random.multivariate_normal(np.zeros(2 * n), np.eye(2 * n), n)
                    x_v = np.random.multivariate_normal(np.zeros(2 * n), np.eye(2 * n), n)
                    views = [torch.FloatTensor(x_u), torch.FloatTensor(x_v)]
                    layers = [torch.nn.Linear(2 * n, n), *(torch.nn.Linear(n, n) for _ in "ab")]
                    sgd = torch.optim.SGD([p for one in layers for p in one.parameters()], lr=0.5)
                    for _ in range(3):
                        sgd.zero_grad()
                        u, v = (
                            F.normalize(F.relu(layers[1](F.relu(layers[0](x)))), dim=1)
                            for x in views
                        )
                        signs = torch.full((n, n), 1.0).fill_diagonal_(-1.0)
                        F.softplus(signs * t * (u @ v.T - 1)).sum().div(n).backward()
                        sgd.step()
                    cosines.append((u @ v.T).diagonal().mean().item())
            panels.append(cosines)
    of_sigmoid = panels[1]
    mean = [sum(of_sigmoid[:2]) / 2, sum(of_sigmoid[2:]) / 2]
    assert [*found["mean"].values()] == pytest.approx(mean, abs=1e-4)
    assert [*found["n28"].values()] == pytest.approx(of_sigmoid[1::2], abs=1e-4)
