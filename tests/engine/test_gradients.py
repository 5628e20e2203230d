"""Gradient caching: the gradient of the whole batch, a micro-batch of activations at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.engine.seeding import seed_everything
from ppr.errors import BadRequest
from ppr.run import make_task, open_bench

BASE = ["engine.batch_size=64", "engine.device=cpu", "model=mlp", "model.hidden=[16]"]
CASES = {
    "supcon": [],
    "ntxent": ["loss=ntxent"],
    "classification": ["experiment=ce_digits"],
}
MICRO = 12  # which leaves a last one of 4


def open_loop(folder, *words: str, noisy: bool = False) -> Loop:
    """A loop in float64, where nothing is lost in rounding; `noisy`: with dropout and BatchNorm."""
    bench = open_bench(compose([*words, *BASE]), folder, Watcher())
    task = make_task(bench)
    if noisy:
        task.encoder.extend([nn.BatchNorm1d(16), nn.Dropout(0.5)])
    task.double()
    prepare = task.prepare
    task.prepare = lambda batch, random: prepare(batch, random).double()
    loop = Loop(task, bench)
    task.train()
    return loop


def gradients(loop: Loop) -> dict[str, torch.Tensor]:
    seed_everything(7)
    values = loop.backward(next(iter(loop.batches.epoch(0))))
    return {**values, **{name: p.grad for name, p in loop.task.named_parameters()}}


@pytest.mark.parametrize("case", CASES)
def test_cached_gradients_are_those_of_the_whole_batch(case, tmp_path):
    whole = gradients(open_loop(tmp_path, *CASES[case]))
    cached = gradients(open_loop(tmp_path, *CASES[case], f"engine.micro_batch={MICRO}"))
    assert whole.keys() == cached.keys()
    for name, value in whole.items():
        torch.testing.assert_close(cached[name], value, rtol=1e-10, atol=1e-12, msg=name)


def test_dropout_and_batchnorm_see_each_micro_batch_once(tmp_path):
    loop = open_loop(tmp_path, f"engine.micro_batch={MICRO}", noisy=True)
    cached = gradients(loop)
    drawn = torch.get_rng_state()

    twin = open_loop(tmp_path, noisy=True)
    task, batch = twin.task, next(iter(twin.batches.epoch(0)))
    seed_everything(7)
    views = task.prepare(batch, twin.random).unflatten(0, (2, 64)).split(MICRO, dim=1)
    outputs = [task(part.flatten(0, 1)).unflatten(0, (2, -1)) for part in views]
    loss = task.loss(torch.cat(outputs, dim=1).flatten(0, 1), batch)["loss"]
    loss.backward()

    torch.testing.assert_close(cached["loss"], loss.detach(), rtol=1e-10, atol=0)
    for name, parameter in task.named_parameters():
        torch.testing.assert_close(cached[name], parameter.grad, rtol=1e-9, atol=1e-12, msg=name)
    for (name, mine), theirs in zip(loop.task.named_buffers(), task.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=name)
    assert drawn.equal(torch.get_rng_state())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_cached_steps_in_half_precision_are_steps_of_the_whole_batch(precision, tmp_path):
    def step(*words: str) -> list[torch.Tensor]:
        bench = open_bench(compose([*BASE, f"engine.precision={precision}", "optimizer=sgd",
                                    "optimizer.lr=1.0", *words]), tmp_path, Watcher())  # fmt: skip
        task = make_task(bench)
        before = [p.detach().clone() for p in task.parameters()]
        loop = Loop(task, bench)
        loop.update(next(iter(loop.batches.epoch(0))))
        return [(p - b).detach() for p, b in zip(task.parameters(), before, strict=True)]

    for whole, cached in zip(step(), step("engine.micro_batch=16"), strict=True):
        assert whole.abs().max() > 0
        torch.testing.assert_close(cached, whole, rtol=0.02, atol=0.02 * float(whole.abs().max()))


def test_what_saves_memory_twice_or_cuts_the_loss_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="not together with engine.accumulate=2"):
        open_loop(tmp_path, "experiment=ce_digits", "engine.accumulate=2", "engine.micro_batch=8")
    with pytest.raises(BadRequest, match=r"engine.accumulate=2: .*did you mean engine.micro_batch"):
        open_loop(tmp_path, "engine.accumulate=2")
