"""Streams of tasks, what they are measured by, continual backpropagation, exact resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ppr
from ppr.config.compose import compose
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.results import tree
from ppr.tasks.per_task import scores
from tests.killing import KilledAt

SMALL = ["experiment=plasticity_digits", "dataset.tasks=4", "dataset.limit=100",
         "model.hidden=[12,12]", "engine.log_every=1", "engine.checkpoint_seconds=0"]  # fmt: skip


def stream(**fields: Any) -> Any:
    return ppr.build("dataset", "task_stream", None, validation=0, **fields).load()


def test_rotated_tasks_are_the_images_turned() -> None:
    whole = ppr.build("dataset", "digits", None, validation=0).load()
    data = stream(change="rotated", tasks=3, angles=[0.0, 90.0, 180.0])
    count = len(whole.train)
    parts = data.train.inputs.split(count)
    assert torch.equal(parts[0], whole.train.inputs)
    for part, turns in ((parts[1], 1), (parts[2], 2)):
        turned = {k: torch.rot90(whole.train.inputs, k, (2, 3)) for k in (turns, -turns)}
        assert any(torch.equal(part, images) for images in turned.values())
    assert torch.equal(data.train.extra["task"], torch.arange(3).repeat_interleave(count))
    assert torch.equal(data.train.targets, whole.train.targets.repeat(3))
    with pytest.raises(BadRequest, match="one for each of 2 tasks"):
        stream(change="rotated", tasks=2, angles=[0.0])


def test_permuted_tasks_permute_train_and_test_alike() -> None:
    whole = ppr.build("dataset", "digits", None, validation=0).load()
    data = stream(tasks=2)
    orders = []
    for split, own in ((data.train, whole.train), (data.test, whole.test)):
        flat = own.inputs.flatten(1)
        second = split.inputs[len(own) :].flatten(1)
        assert torch.equal(second.sort(1).values, flat.sort(1).values)
        orders.append(second)
    # Column c of the second task is one and the same column of the first set, in both splits.
    for column in range(0, 64, 7):
        same = [
            {k for k in range(64) if torch.equal(orders[i][:, column], own.inputs.flatten(1)[:, k])}
            for i, own in enumerate((whole.train, whole.test))
        ]
        assert same[0] & same[1]


def test_in_order_goes_through_part_after_part() -> None:
    sampler = ppr.build("sampler", "in_order", parts=3, passes=2)
    drawn = sampler.epoch(torch.zeros(32), 4, torch.Generator().manual_seed(0))
    assert drawn.shape == (3 * 2 * 2, 4)
    for part, rows in enumerate(drawn.flatten().split(16)):
        assert set(rows.tolist()) <= set(range(part * 10, part * 10 + 10))
        for once in rows.split(8):
            assert len(set(once.tolist())) == 8
    with pytest.raises(BadRequest, match="less than a batch of 16"):
        sampler.epoch(torch.zeros(32), 16, torch.Generator())


def test_scores_by_hand() -> None:
    found = scores(torch.tensor([[0.9, 0, 0], [0.5, 0.8, 0], [0.6, 0.3, 1.0]]))
    assert found["final"] == pytest.approx((0.6 + 0.3 + 1.0) / 3)
    assert found["learning"] == pytest.approx((0.9 + 0.8 + 1.0) / 3)
    assert found["forgetting"] == pytest.approx((0.3 + 0.5) / 2)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))


def test_continual_backprop_without_replacement_is_sgd() -> None:
    weights = []
    for rate, name in ((0.0, "continual_backprop"), (None, "sgd")):
        network = small_network()
        fields = {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.01}
        fields |= {} if rate is None else {"rate": rate}
        optimizer = ppr.build("optimizer", name, network, **fields)
        for step in range(5):
            optimizer.zero_grad()
            network(torch.full((4, 3), float(step))).square().sum().backward()
            optimizer.step()
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    torch.testing.assert_close(*weights)


def test_the_least_useful_mature_unit_is_made_anew() -> None:
    """Utility by a loop over steps; with rate 1/5 of five mature units one is due a step."""
    network = small_network()
    optimizer = ppr.build(
        "optimizer", "continual_backprop", network, lr=1e-9, rate=0.2, maturity=3, decay=0.5
    )
    first, last = network[0], network[2]
    utility = np.zeros(5)
    random = torch.Generator().manual_seed(1)
    for step in range(1, 5):
        before = [p.detach().clone() for p in network.parameters()]
        x = torch.randn(6, 3, generator=random)
        optimizer.zero_grad()
        network(x).sum().backward()
        activity = network[:2](x).detach().abs().mean(0).numpy()
        optimizer.step()
        utility = 0.5 * utility + 0.5 * activity * before[2].abs().sum(0).numpy()
        changed = (first.weight != before[0]).any(1) & (
            (first.weight - before[0]).abs().amax(1) > 1e-4
        )
        if step < 4:
            assert not changed.any()
    assert changed.nonzero().flatten().tolist() == [int(utility.argmin())]
    unit = int(utility.argmin())
    assert (last.weight[:, unit] == 0).all()
    assert first.bias[unit] == 0
    assert first.weight[unit].abs().max() <= 3**-0.5
    state = optimizer.state[first.weight]
    assert state["age"][unit] == state["utility"][unit] == 0


def test_a_killed_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*SMALL, "optimizer.rate=0.01", "optimizer.maturity=5", "optimizer.momentum=0.5"]
    found = []
    for name, kills in (("whole", ()), ("killed", (9, 25))):
        monkeypatch.setenv("PPR_RESULTS", str(tmp_path / name))
        config = compose(words)
        for step in kills:
            with pytest.raises(KeyboardInterrupt):
                execute(config, KilledAt(step))
        summary = execute(config)
        folder = config.folder
        found.append((torch.load(folder / "model.pt"), summary["metrics"], folder))
    (one, first, folder), (two, second, other) = found
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert first == second
    assert (folder / tree.METRICS).read_bytes() == (other / tree.METRICS).read_bytes()
    lines = [json.loads(line) for line in (folder / tree.METRICS).read_text().splitlines()]
    online = np.array([line["train/top1"] for line in lines]).reshape(4, 10).mean(1)
    measured = (one["online"][:, 0] / one["online"][:, 1]).numpy()
    np.testing.assert_allclose(measured, online, atol=1e-6)
    assert first["continual"]["final"] == pytest.approx(first["classifier"]["top1"], abs=1e-6)


def test_a_stream_is_needed() -> None:
    words = ["experiment=ce_digits", "task=continual", "model=mlp", "model.hidden=[4]"]
    with pytest.raises(BadRequest, match="needs a stream of tasks"):
        execute(compose(words))
    with pytest.raises(BadRequest, match="1 here, the whole stream"):
        execute(compose([*SMALL, "engine.epochs=2"]))
