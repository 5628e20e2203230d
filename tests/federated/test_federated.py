"""Federated learning: averaging, shares, projection, reservoirs, and exact resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.interrupts import Interrupted
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.results import tree
from ppr.run import make_task, open_bench
from ppr.tasks.federate import deal, project

SMALL = ["dataset.tasks=2", "dataset.angles=[0.0,90.0]", "dataset.limit=120", "task.rounds=2",
         "task.clients=3", "model.hidden=[8]", "engine.batch_size=16"]  # fmt: skip


def build(folder: Path, *words: str) -> Any:
    config = compose(["experiment=federated_digits", *SMALL, *words])
    return make_task(open_bench(config, folder, Watcher()))


def test_projection_leaves_no_conflict_and_no_more() -> None:
    random = torch.Generator().manual_seed(0)
    for _ in range(50):
        g, ref = torch.randn(2, 30, generator=random, dtype=torch.float64)
        found = project(g, ref)
        assert torch.dot(found, ref) >= -1e-12
        if torch.dot(g, ref) >= 0:
            assert torch.equal(found, g)
        else:
            torch.testing.assert_close(found, g - (g @ ref) / (ref @ ref) * ref)
    assert torch.equal(project(g, torch.zeros(30, dtype=torch.float64)), g)


@pytest.mark.parametrize("alpha", [None, 0.1, 100.0])
def test_every_sample_is_dealt_to_one_client(alpha: float | None) -> None:
    targets = np.arange(500) % 10
    shares = deal(targets, 5, alpha, seed=3)
    assert sorted(np.concatenate(shares).tolist()) == list(range(500))
    counts = np.array([np.bincount(targets[share], minlength=10) for share in shares])
    if alpha is None:
        assert set(counts.sum(1)) == {100}
    elif alpha == 0.1:
        assert (counts.max(0) > 40).sum() >= 3  # most of a class is one client's
    else:
        assert counts.min() > 0


def test_a_round_of_one_client_is_plain_training_and_of_several_their_mean(tmp_path: Path) -> None:
    task = build(tmp_path)
    before = {name: tensor.clone() for name, tensor in task.named_state()}
    own = []
    for client, share in enumerate(task.shares[0]):
        task._take(before)
        task._train(0, client, share)
        own.append({name: tensor.clone() for name, tensor in task.named_state()})
    task._take(before)
    task.play(0)
    sizes = [len(share) for share in task.shares[0]]
    for name, tensor in task.named_state():
        mean = sum(n / sum(sizes) * each[name] for n, each in zip(sizes, own, strict=True))
        torch.testing.assert_close(tensor, mean)
        assert not torch.equal(tensor, before[name])


def test_the_reference_gradient_is_the_mean_over_clients_reservoirs(tmp_path: Path) -> None:
    task = build(tmp_path, "task.buffer=10", "task.reference=null")
    task.play(0)
    train = task.bench.dataset.train
    expected = []
    for rows in task.reservoir:
        logits = task(task.augment.plain(train.inputs[rows]))
        value = torch.nn.functional.cross_entropy(logits, train.targets[rows])
        slopes = torch.autograd.grad(value, list(task.parameters()))
        expected.append(torch.cat([slope.flatten() for slope in slopes]))
    torch.testing.assert_close(task.reference_gradient, torch.stack(expected).mean(0))


def test_a_reservoir_holds_each_sample_with_the_same_chance(tmp_path: Path) -> None:
    task = build(tmp_path, "task.buffer=10")
    held = torch.zeros(40)
    random = torch.Generator().manual_seed(0)
    for _ in range(500):
        task.reservoir.fill_(-1)
        task.offered.zero_()
        for part in torch.arange(40).split(16):
            task._keep(0, part, random)
        held += torch.bincount(task.reservoir[0], minlength=40)
    assert held.sum() == 5000
    assert (held / 500 - 0.25).abs().max() < 5 * (0.25 * 0.75 / 500) ** 0.5


def test_fedprox_pulls_clients_back(tmp_path: Path) -> None:
    def moved(*words: str) -> float:
        task = build(tmp_path, *words)
        before = {name: tensor.clone() for name, tensor in task.named_state()}
        task.play(0)
        return sum(float((t - before[n]).square().sum()) for n, t in task.named_state())

    assert moved("task.proximal=3.0") < 0.5 * moved()


class StopsAt(Watcher):
    """Asks to stop after a round, as a signal would."""

    def __init__(self, round_: int) -> None:
        self.round, self.bench = round_, None

    def stepped(self, step: int, epoch: float, values: Any, rate: float) -> None:
        if step == self.round:
            raise KeyboardInterrupt


def test_a_killed_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["experiment=fed_a_gem_digits", *SMALL, "task.buffer=20", "engine.checkpoint_seconds=0"]
    results = []
    for name, stops in (("whole", []), ("killed", [1, 3])):
        monkeypatch.setenv("PPR_RESULTS", str(tmp_path / name))
        config = compose(words)
        for stop in stops:
            with pytest.raises((KeyboardInterrupt, Interrupted)):
                execute(config, StopsAt(stop))
        execute(config)
        folder = config.folder
        summary = json.loads((folder / tree.SUMMARY).read_text())
        results.append(
            (torch.load(folder / "model.pt"), (folder / tree.METRICS).read_bytes(), summary)
        )
    (one, log, first), (two, other, second) = results
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert log == other
    assert first["metrics"] == second["metrics"]


def test_several_devices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"engine.devices=1"):
        build(tmp_path, "engine.devices=2")
