"""Slowly-changing regression: its learners against torch, its targets against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.studies.continual.slowly_changing import BETA, Learners, Targets


def test_learners_step_as_sgd_on_small_networks() -> None:
    random = np.random.default_rng(0)
    learners = Learners(2, random)
    nets = []
    for stream, net, rate in ((0, 0, 0.01), (1, 2, 0.001), (0, 3, 0.01), (1, 4, 0.003)):
        first, last = torch.nn.Linear(20, 5), torch.nn.Linear(5, 1)
        hidden = torch.tensor(learners.hidden[stream, 5 * net : 5 * net + 5])
        out = torch.tensor(learners.out[stream, net])
        with torch.no_grad():
            first.weight.copy_(hidden[:, :-1])
            first.bias.copy_(hidden[:, -1])
            last.weight.copy_(out[None, :-1])
            last.bias.copy_(out[-1:])
        model = torch.nn.Sequential(first, torch.nn.ReLU() if net < 3 else torch.nn.Tanh(), last)
        nets.append((stream, net, model, torch.optim.SGD(model.parameters(), lr=rate)))
    straight = torch.nn.Linear(20, 1)
    with torch.no_grad():
        straight.weight.copy_(torch.tensor(learners.linear[1:, :-1]))
        straight.bias.zero_()
    nets.append(
        (1, -1, torch.nn.Sequential(straight), torch.optim.SGD(straight.parameters(), 0.01))
    )

    error, linear = np.empty((2, 6), np.float32), np.empty(2, np.float32)
    for _ in range(30):
        x = np.ones((2, 21), np.float32)
        x[:, :-1] = random.integers(0, 2, (2, 20))
        y = random.normal(size=(2, 1)).astype(np.float32)
        learners.step(x, y, error, linear)
        for stream, net, model, sgd in nets:
            sgd.zero_grad()
            wrong = model(torch.tensor(x[stream, :-1]))[0] - float(y[stream, 0])
            wrong.square().backward()
            sgd.step()
            got = linear[stream] if net < 0 else error[stream, net]
            assert got == pytest.approx(wrong.item(), abs=1e-4)


def test_a_target_counts_the_threshold_units_that_are_on() -> None:
    random = np.random.default_rng(1)
    targets = Targets(2, random)
    x = random.integers(0, 2, (2, 4, 20)).astype(np.float32)
    got = targets(x)
    for run in range(2):
        for t in range(4):
            total = float(targets.bias[run, 0])
            for k in range(100):
                w, b = targets.weights[run, :, k], float(targets.biases[run, 0, k])
                assert {*w.tolist(), b} <= {-1.0, 1.0}
                minus = (20 - float(w.sum()) + b) / 2
                if float(w @ x[run, t]) + b > BETA * 21 - minus:
                    total += float(targets.out[run, k, 0])
            assert got[run, t] == pytest.approx(total)


def test_a_part_of_a_bin_is_refused() -> None:
    words = ["experiment=slowly_changing", "task.runs=1", "task.change_after=5000"]
    with pytest.raises(BadRequest, match="task.examples=30000: must be a multiple of 20000"):
        execute(compose([*words, "task.examples=30000"]), Watcher())
    with pytest.raises(BadRequest, match="task.change_after=3000: must divide 20000"):
        execute(compose([*words, "task.change_after=3000"]), Watcher())
