"""Samplers that look at embeddings: what they choose, and that a resumed run chooses the same."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import Tensor

import ppr
from ppr.config.compose import compose
from ppr.data.dataset import Split
from ppr.engine.batches import Batches
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.engine.seeding import seed_everything
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.run import make_task, open_bench
from tests.killing import KilledAt, assert_same_run, results_of

CPU = torch.device("cpu")
TINY = ["experiment=clip_digits", "model.hidden=[16]", "engine.device=cpu", "engine.epochs=3",
        "engine.max_steps=null", "engine.batch_size=20", "dataset.limit=200", "engine.log_every=3",
        "engine.checkpoint_seconds=0"]  # fmt: skip
SAMPLERS = {
    "spectral": ["sampler=spectral", "sampler.together=4"],
    "ordered": ["sampler=ordered", "sampler.candidates=5", "sampler.keep=2"],
}


def order(count: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(count)


def clustered_pairs(clusters: int, size: int) -> Tensor:
    """Pairs [N, 2, D] in tight groups, one after another, each in a direction of its own."""
    centres = torch.eye(clusters).repeat_interleave(size, 0)
    noise = 0.1 * torch.randn(len(centres), 2, clusters, generator=order())
    return centres[:, None] + noise


def infonce_of(pairs: Tensor, t: float) -> float:
    a, b = torch.nn.functional.normalize(pairs.double(), dim=2).unbind(1)
    s = (a @ b.T / t).tolist()
    total = 0.0
    for i in range(len(s)):
        for line in (s[i], [row[i] for row in s]):
            total += math.log(sum(math.exp(x) for x in line)) - s[i][i]
    return total / (2 * len(s))


def test_spectral_batches_are_those_that_would_lose_most():
    """In a batch, close pairs are hard negatives of each other: each group is one batch."""
    pairs = clustered_pairs(clusters=6, size=5)
    chosen = ppr.build("sampler", "spectral", together=6).choose(pairs, 5, order())
    assert chosen.shape == (6, 5)
    assert {tuple(sorted(row)) for row in (chosen // 5).tolist()} == {(k,) * 5 for k in range(6)}
    shuffled = torch.randperm(30, generator=order()).view(6, 5)
    losses = [[infonce_of(pairs[rows], 0.1) for rows in batch] for batch in (chosen, shuffled)]
    assert min(losses[0]) > max(losses[1])


def test_spectral_batches_are_drawn_from_a_part_at_a_time_and_leave_out_the_rest():
    sampler = ppr.build("sampler", "spectral", together=3)
    pairs = clustered_pairs(clusters=7, size=5)
    chosen = sampler.choose(pairs, 5, order())
    assert len(chosen) == sampler.steps(35, 5) == 6
    assert len(set(chosen.flatten().tolist())) == 30
    first = set(torch.randperm(35, generator=order())[:15].tolist())
    assert set(chosen[:3].flatten().tolist()) == first
    assert sampler.steps(9, 5) == 1  # fewer than are clustered together
    assert sampler.choose(pairs[:9], 5, order()).shape == (1, 5)


def test_ordered_keeps_the_batches_of_the_highest_loss():
    sampler = ppr.build("sampler", "ordered", candidates=4, keep=2, temperature=0.2)
    pairs = torch.randn(33, 2, 4, generator=order(1))
    chosen = sampler.choose(pairs, 4, order())
    assert len(chosen) == sampler.steps(33, 4) == 4
    batches = torch.randperm(33, generator=order())[:32].view(2, 4, 4)
    for group, kept in zip(batches, chosen.view(2, 2, 4), strict=True):
        ranked = sorted(group.tolist(), key=lambda rows: -infonce_of(pairs[rows], 0.2))
        assert kept.tolist() == ranked[:2]
    assert ppr.build("sampler", "ordered").steps(33, 4) == 8  # README's 150 of 1500: all of 8
    with pytest.raises(BadRequest, match="^sampler.keep=3: must be at most sampler.candidates=2"):
        ppr.build("sampler", "ordered", candidates=2, keep=3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_killed_run_chooses_the_same_batches(name, monkeypatch, tmp_path):
    """The order of an epoch depends on the weights at its beginning, so checkpoints hold it."""
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "whole"))
    config = compose([*TINY, *SAMPLERS[name]])
    execute(config)
    whole = results_of(config)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "killed"))
    config = compose([*TINY, *SAMPLERS[name]])
    for step in (3, 6):  # both in the middle of an epoch
        with pytest.raises(KeyboardInterrupt):
            execute(config, KilledAt(step))
        seed_everything(random.randrange(10**6))
    execute(config)
    assert_same_run(whole, results_of(config))


def test_views_of_a_contrastive_task_are_looked_at_too(tmp_path):
    words = ["experiment=simclr_digits", "model=mlp", "model.hidden=[16]", *SAMPLERS["spectral"]]
    words += ["engine.batch_size=20", "dataset.limit=200"]
    bench = open_bench(compose(words), tmp_path, Watcher())
    loop = Loop(make_task(bench), bench)
    inputs = bench.dataset.train.inputs[:6]
    pairs = loop.task.eval().embed_pairs(inputs, order())
    both = loop.task(loop.task.augment(torch.cat([inputs, inputs]), order()))
    torch.testing.assert_close(pairs, torch.stack([both[:6], both[6:]], 1))
    assert len(loop.batches.order(0)) == 8


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_order_follows_the_weights_and_disturbs_nothing(name, tmp_path):
    bench = open_bench(compose([*TINY, *SAMPLERS[name]]), tmp_path, Watcher())
    loop = Loop(make_task(bench), bench)
    assert loop.batches.steps_per_epoch == {"spectral": 8, "ordered": 4}[name]
    loop.task.train()
    before = torch.get_rng_state(), loop.random.get_state()
    first = loop.batches.order(0)
    assert torch.equal(loop.batches.order(0), first)  # once an epoch
    assert loop.task.training
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(loop.random.get_state(), before[1])
    with torch.no_grad():
        for parameter in loop.task.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=order(2)))
    assert torch.equal(loop.batches.order(0), first)
    loop.batches.chosen = None
    assert not torch.equal(loop.batches.order(0), first)


def test_embeddings_must_be_there_to_be_looked_at(tmp_path):
    words = ["experiment=ce_digits", "sampler=ordered"]
    bench = open_bench(compose(words), tmp_path, Watcher())
    task = make_task(bench)
    with pytest.raises(BadRequest, match="^sampler: it looks at the embeddings of pairs; needs"):
        Loop(task, bench)
    split = Split(torch.zeros(20, 3), torch.zeros(20, dtype=torch.int64))
    with pytest.raises(BadRequest, match="data that stay on the device"):
        Batches(split, 5, 0, CPU, sampler=ppr.build("sampler", "ordered"), resident_gb=0,
                embed=lambda inputs, random: inputs)  # fmt: skip
