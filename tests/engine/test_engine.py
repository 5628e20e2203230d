"""The loop, its batches, and a run's life."""

from __future__ import annotations

import copy
import errno
import json
import os
import random
import shutil

import pytest
import torch
from torch import nn

from ppr.cli.check import check_words
from ppr.config.compose import compose
from ppr.data.dataset import Split
from ppr.engine.batches import Batches
from ppr.engine.bench import Watcher
from ppr.engine.checkpoints import checkpoints, load_checkpoint
from ppr.engine.device import autocast, pick_device, settle_precision
from ppr.engine.ema import MovingAverage
from ppr.engine.loop import Loop
from ppr.engine.seeding import derive, random_states, restore_random_states, seed_everything
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.results import tree
from ppr.run import make_task, open_bench

CPU = torch.device("cpu")
TINY = ["model=mlp", "model.hidden=[16]", "engine.batch_size=100", "engine.epochs=3",
        "engine.log_every=4", "engine.checkpoint_seconds=0", "engine.device=cpu",
        "evaluator.knn.k=5"]  # fmt: skip


def test_a_second_process_says_so_and_leaves():
    config = compose(TINY)
    with tree.claim(config.folder), pytest.raises(tree.RunBusy, match=str(os.getpid())):
        execute(config)


def test_the_end_is_kept_and_force_keeps_the_old_one_aside():
    config = compose(TINY)
    first = execute(config)
    assert execute(config) == first
    second = execute(config, force=True)
    assert second["metrics"] == first["metrics"]
    aside = list(config.folder.parent.glob(".seed=0-replaced-*"))
    assert len(aside) == 1
    assert json.loads((aside[0] / tree.SUMMARY).read_text()) == first


def test_the_summary_is_whole():
    config = compose(TINY)
    summary = execute(config)
    folder = config.folder
    assert 0 < summary["untrained"]["linear"]["top1"] < summary["metrics"]["linear"]["top1"] <= 1
    assert summary["best"]["chosen_by"] == "validation/knn/top1"
    assert summary["best"]["metrics"].keys() == summary["metrics"].keys()
    assert summary["cost"].keys() >= {
        "seconds",
        "samples_per_second",
        "peak_memory_bytes",
        "device",
    }
    assert summary["protocol"]["evaluators"].keys() == {"linear", "knn"}
    assert len(summary["data"]["digest"]) == 64
    environment = json.loads((folder / tree.ENVIRONMENT).read_text())
    assert summary["digest"] == tree.record_digest(summary, dict(config.values), environment)
    assert not checkpoints(folder / tree.CHECKPOINTS)


def test_no_secret_is_written(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t-value")
    config = compose(TINY)
    execute(config)
    for file in config.folder.rglob("*"):
        assert not file.is_file() or b"s3cr3t-value" not in file.read_bytes(), file


def test_seeds_differ_and_repeat():
    def loss(seed: int) -> float:
        config = compose([*TINY, f"seed={seed}", "engine.epochs=1"])
        execute(config, force=True)
        line = (config.folder / tree.METRICS).read_text().splitlines()[0]
        return json.loads(line)["train/loss"]

    assert loss(0) == loss(0)
    assert loss(0) != loss(1)


def open_loop(tmp_path, *more: str) -> Loop:
    return Loop(make_task(bench := open_bench(compose([*more]), tmp_path, Watcher())), bench)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_learns(precision, tmp_path):
    loop = open_loop(tmp_path, *TINY, f"engine.precision={precision}", "engine.epochs=10")
    losses = []
    loop.bench.watcher.stepped = lambda step, epoch, values, rate: losses.append(
        values["train/loss"]
    )
    loop.fit(lambda epoch: None)
    assert losses[-1] < 0.98 * losses[0]


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path):
    loop = open_loop(tmp_path, *TINY, "optimizer=sgd", "optimizer.lr=0.5", "engine.epochs=30")
    batch_loss = loop.task.loss

    def poisoned(outputs, batch):
        values = batch_loss(outputs, batch)
        return {"loss": values["loss"] * float("nan")} if loop.step == 14 else values

    loop.task.loss = poisoned
    with pytest.raises(
        RunFailed, match=r"not finite at step 15 \(learning rate 0\.\d+\).*step-0000000"
    ):
        loop.fit(lambda epoch: None)
    state = load_checkpoint(tmp_path / tree.CHECKPOINTS)
    assert all(
        value.isfinite().all() for value in state["task"].values() if value.is_floating_point()
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_loss_that_is_not_finite_can_be_skipped(precision, tmp_path):
    loop = open_loop(tmp_path, *TINY, "engine.nonfinite=skip", f"engine.precision={precision}",
                     "engine.clip_norm=1.0")  # fmt: skip
    batch_loss = loop.task.loss

    def poisoned(outputs, batch):
        values = batch_loss(outputs, batch)
        return {"loss": values["loss"] * float("nan")} if loop.step in (3, 9) else values

    loop.task.loss = poisoned
    loop.fit(lambda epoch: None)
    assert loop.skipped == 2
    assert all(p.isfinite().all() for p in loop.task.parameters())


def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path):
    base = ["experiment=ce_digits", "model=mlp", "model.hidden=[16]", "augment=none",
            "engine.batch_size=120", "engine.device=cpu"]  # fmt: skip
    whole, parts = (open_loop(tmp_path, *base, f"engine.accumulate={n}") for n in (1, 4))
    batch = next(iter(whole.batches.epoch(0)))
    for loop in (whole, parts):
        loop.backward(batch)
    for one, two in zip(whole.task.parameters(), parts.task.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-5, atol=1e-7)


def test_a_batch_wide_loss_cannot_be_accumulated(tmp_path):
    with pytest.raises(BadRequest, match="engine.accumulate=2"):
        open_loop(tmp_path, *TINY, "engine.accumulate=2")


def test_the_loop_is_the_plain_loop(tmp_path):
    """Against PyTorch's own words for the same steps: order, rate, clipping, average."""
    loop = open_loop(tmp_path, "experiment=ce_digits", "model=mlp", "model.hidden=[16]",
                     "augment=none", "optimizer=sgd", "optimizer.lr=0.1", "schedule.final=0",
                     "engine.batch_size=100", "engine.epochs=2", "engine.clip_norm=0.7",
                     "engine.ema_decay=0.9", "engine.device=cpu")  # fmt: skip
    data = loop.bench.dataset
    twin = nn.Sequential(copy.deepcopy(loop.task.encoder), copy.deepcopy(loop.task.classifier))
    optimizer = loop.bench.build("optimizer", twin)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, loop.total)
    average = torch.optim.swa_utils.AveragedModel(
        twin, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    average.update_parameters(twin)  # its first update copies
    for epoch in range(2):
        order = torch.randperm(
            len(data.train), generator=torch.Generator().manual_seed(derive(0, "order", epoch))
        )
        for rows in order[: len(order) // 100 * 100].split(100):
            inputs = (data.train.inputs[rows] / 255 - data.mean[0]) / data.std[0]
            loss = nn.functional.cross_entropy(twin(inputs), data.train.targets[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(twin.parameters(), 0.7)
            optimizer.step()
            cosine.step()
            average.update_parameters(twin)
    loop.fit(lambda epoch: None)
    for ours, theirs in zip(loop.task.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    mine = [loop.ema.average[name] for name, _ in loop.task.named_parameters()]
    for ours, theirs in zip(mine, average.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_average_is_applied_and_taken_back():
    layer = nn.Linear(3, 2)
    average = MovingAverage(layer, 0.5)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(2.0)
    average.update()
    with average.applied():
        torch.testing.assert_close(layer.weight, before + 1)
    torch.testing.assert_close(layer.weight, before + 2)


class Streamed:
    """A split that only loads rows, as one too big for memory does."""

    def __init__(self, split: Split) -> None:
        self.inputs_, self.targets = split.inputs, split.targets

    def __len__(self) -> int:
        return len(self.targets)

    def load(self, indices):
        return self.inputs_[indices], self.targets[indices]


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_batches_are_the_resident_ones(workers):
    split = Split(torch.arange(50)[:, None].to(torch.uint8), torch.arange(50))
    resident = Batches(split, 8, 3, CPU)
    streamed = Batches(Streamed(split), 8, 3, CPU, workers=workers)
    for epoch, start in ((0, 0), (1, 2)):
        for one, two in zip(
            resident.epoch(epoch, start), streamed.epoch(epoch, start), strict=True
        ):
            assert torch.equal(one.inputs, two.inputs)
            assert torch.equal(one.targets, two.targets)
            assert torch.equal(one.indices, two.indices)


def test_an_epoch_sees_every_sample_once_in_an_order_of_its_own():
    split = Split(torch.zeros(40, 1, dtype=torch.uint8), torch.arange(40))
    batches = Batches(split, 10, 0, CPU)
    epochs = [torch.cat([batch.targets for batch in batches.epoch(n)]) for n in (0, 1)]
    assert all(epoch.sort().values.equal(torch.arange(40)) for epoch in epochs)
    assert not epochs[0].equal(epochs[1])


def test_a_batch_larger_than_the_set_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="engine.batch_size=5000: larger than the training split"):
        open_loop(tmp_path, *TINY, "engine.batch_size=5000")


@pytest.mark.parametrize("do", [check_words, lambda words: execute(compose(words))])
def test_monitoring_needs_a_validation_split_and_a_chosen_evaluator(do):
    with pytest.raises(BadRequest, match="dataset.validation"):
        do([*TINY, "dataset.validation=0"])
    with pytest.raises(BadRequest, match="engine.monitor=nope/top1"):
        do([*TINY, "engine.monitor=nope/top1"])


def test_after_a_minus_the_least_value_is_the_best():
    asked = [word for word in TINY if "knn" not in word]
    monitored = ["engine.evaluate_every=1", "engine.monitor=-calibration/ece"]
    config = compose([*asked, "experiment=ce_digits", "engine.accumulate=2", *monitored])
    best = execute(config)["best"]
    lines = (config.folder / tree.METRICS).read_text().splitlines()
    seen = [json.loads(line).get("validation/calibration/ece") for line in lines]
    eces = [value for value in seen if value is not None]
    assert len(eces) == 3
    assert best["value"] == min(eces)
    assert best["epoch"] == 1 + eces.index(min(eces))
    assert best["chosen_by"] == "validation/calibration/ece"


def test_a_full_disk_fails_the_run_in_one_line(monkeypatch):
    from ppr.results import files

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    config = compose(TINY)
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunFailed, match="No space left on device") as failure:
        execute(config)
    assert "\n" not in str(failure.value)


def test_a_failed_run_is_recorded_and_can_be_repeated(monkeypatch):
    import ppr.engine.train

    config = compose(TINY)
    with monkeypatch.context() as patch:
        patch.setattr(ppr.engine.train, "save_weights", lambda *_: (_ for _ in ()).throw(
            RunFailed("the dog ate it")))  # fmt: skip
        with pytest.raises(RunFailed):
            execute(config)
    folder = config.folder
    assert json.loads((folder / tree.FAILURE).read_text())["error"] == "the dog ate it"
    assert tree.state(folder) == "failed"
    execute(config)
    assert tree.state(folder) == "finished"


def test_random_states_come_back():
    seed_everything(5)
    states = random_states(CPU)
    import numpy as np

    drawn = (random.random(), np.random.rand(), torch.rand(3))
    seed_everything(6)
    restore_random_states(states, CPU)
    again = (random.random(), np.random.rand(), torch.rand(3))
    assert drawn[:2] == again[:2]
    assert drawn[2].equal(again[2])


def test_devices_and_precisions():
    assert pick_device("cpu") == CPU
    for wanted in ("cuda:9", "gpu", "cuda:x"):
        with pytest.raises(BadRequest, match="engine.device"):
            pick_device(wanted)
    assert settle_precision("auto", CPU) in ("bf16", "fp32")
    assert settle_precision("fp16", CPU) == "fp16"
    with autocast(CPU, "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler here")
@pytest.mark.slow
def test_compiled_training_is_the_same_training(tmp_path):
    plain, compiled = (
        open_loop(tmp_path, *TINY, f"engine.compile={value}") for value in ("false", "true")
    )
    batch = next(iter(plain.batches.epoch(0)))
    for loop in (plain, compiled):
        loop.backward(batch)
    for one, two in zip(plain.task.parameters(), compiled.task.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-5)
