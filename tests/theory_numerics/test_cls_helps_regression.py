"""Regression beside classification: data, labels and training against loops of their own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ppr.studies.theory_numerics.binned_regression as study
from ppr.studies.theory_numerics._sampled_functions import (
    SETTINGS,
    SPREADS,
    Function,
    Sizes,
    data_seeds,
    functions,
    sample,
)

SMALL = Sizes(bins=16, few=5, total=960, pool=4000)


def test_the_authors_functions_and_seeds() -> None:
    # printed by their make_data1d.py: random.seed(0) and numpy.random.seed(0)
    assert data_seeds() == [2732, 9845, 3264, 4859, 9225]
    assert [(round(f.a, 6), f.c) for f in functions(3)] == [
        (0.844422, 22), (0.040484, 25), (0.485928, 18),
    ]  # fmt: skip


def test_a_function_is_its_formula() -> None:
    x = np.linspace(-1, 1, 7)
    found = Function(0.25, 10)(x, np.random.RandomState(0))
    assert found == pytest.approx([0.25 * math.sin(10 * v) + 1.25 * math.sin(3 * v) for v in x])


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("sampling", SPREADS)
def test_samples_are_of_the_function_and_drawn_again_alike(setting: str, sampling: str) -> None:
    function = Function(0.25, 10)
    parts = sample(function, setting, sampling, 3, SMALL)
    again = sample(function, setting, sampling, 3, SMALL)
    for (x, y), (same_x, same_y) in zip(parts, again, strict=True):
        exact = 0.25 * np.sin(10 * x) + 1.25 * np.sin(3 * x)
        off = np.abs(y - exact)
        assert off.std() == pytest.approx(0.06, abs=0.02) if setting == "noisy" else off.max() == 0
        assert np.array_equal(x, same_x)
        assert np.array_equal(y, same_y)
        assert np.abs(x).max() <= 1


def test_severe_samples_gather_around_a_value_and_even_ones_do_not() -> None:
    def largest_share(sampling: str) -> float:
        y = sample(Function(0.25, 10), "clean", sampling, 3, SMALL)[0][1]
        counts, _ = np.histogram(y, bins=10)
        return float(counts.max() / counts.sum())

    assert largest_share("uniform") < 0.15
    assert largest_share("severe") > 0.6


def test_parts_of_other_intervals_do_not_overlap_much() -> None:
    train, _, test = sample(Function(0.25, 10), "ood", "uniform", 3, SMALL)
    close = np.abs(train[0].reshape(-1)[:, None] - test[0].reshape(-1)).min(0)
    assert (close > 0.02).mean() > 0.3


def test_labels_are_the_bins_of_the_range() -> None:
    y = torch.tensor([0.0, 0.24, 0.25, 0.5, 0.99, 1.0], dtype=torch.float64)
    assert study.labels(y, 4).tolist() == [0, 0, 1, 2, 3, 3]


@pytest.mark.parametrize("arm", [0, 1, 2])
def test_training_is_that_of_torchs_own_modules(arm: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batches through nn.Linear and torch.optim.Adam; the second function waits."""
    monkeypatch.setattr(study, "TYPE", torch.float64)
    draw = np.random.RandomState(0)
    data = [(x := draw.uniform(-1, 1, size), np.sin(5 * x)) for size in (600, 300)]
    losses = [(1.0, 0.0), (7.0, 1.0), (7.0, 0.0)]
    settings: dict[str, Any] = {"lr": 0.01, "decay": 0.1, "epochs": 3}
    found = study.train(
        data, classes=4, losses=losses, random=torch.Generator().manual_seed(5), **settings
    )
    random = torch.Generator().manual_seed(5)
    begun = study.Networks(study.initial(3, 2, 4, random), 4).parts()
    nets = []
    for k in range(2):
        layers = [nn.Linear(*shape).double() for shape in study.layers(4)]
        for layer, weight, bias in zip(layers, begun[::2], begun[1::2], strict=True):
            layer.weight.data, layer.bias.data = weight[arm, k].T.clone(), bias[arm, k, 0].clone()
        parameters = [p for layer in layers for p in layer.parameters()]
        nets.append((layers, torch.optim.Adam(parameters, lr=0.01, weight_decay=0.1)))
    for _ in range(3):
        for (layers, adam), (x, y) in zip(nets, data, strict=True):
            inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
            edges = torch.linspace(targets.min(), targets.max(), 5, dtype=torch.float64)
            classes = [min(3, int((edges[1:] <= value).sum())) for value in targets]
            order = torch.randperm(len(x), generator=random)
            for rows in order.split(256)[: len(x) // 256]:
                hidden = layers[1](layers[0](inputs[rows, None]).relu()).relu()
                error = nn.functional.mse_loss(layers[2](hidden)[:, 0], targets[rows])
                wanted = torch.tensor(classes)[rows]
                entropy = nn.functional.cross_entropy(layers[3](hidden), wanted)
                adam.zero_grad()
                (losses[arm][0] * error + losses[arm][1] * entropy).backward()
                adam.step()
    for k, (layers, _) in enumerate(nets):
        x = torch.from_numpy(data[k][0])
        with torch.no_grad():
            out = layers[2](layers[1](layers[0](x[:, None]).relu()).relu())[:, 0]
            squared = (out - torch.from_numpy(data[k][1])).square()
            error = torch.stack([part.mean() for part in squared.split(256)]).mean()
        assert found.errors(k, data[k])[arm].item() == pytest.approx(error.item(), rel=1e-9)
