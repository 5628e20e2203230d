"""Two towers: pairs, retrieval and cosines by loops, learned scales, cached gradients."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

import ppr
from ppr.config.compose import compose
from ppr.data.dataset import Dataset, Split
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.losses.contrastive.siglip import siglip
from ppr.run import make_task, open_bench
from tests.losses import vectors

HALVES = ["experiment=siglip_digits", "model.hidden=[16]", "engine.device=cpu",
          "engine.batch_size=24"]  # fmt: skip
VIEWS = [*HALVES, "task.pairs=views", "task.shared=true"]
CASES = {
    "halves, two towers": HALVES,
    "halves, one tower": [*HALVES, "task.shared=true"],
    "views, one tower": VIEWS,
    "views, two towers": [*VIEWS, "task.shared=false"],
    "softmax": ["experiment=clip_digits", *HALVES[1:]],
}


def open_loop(folder, *words: str) -> Loop:
    bench = open_bench(compose(list(words)), folder, Watcher())
    return Loop(make_task(bench), bench)


def first_batch(loop: Loop):
    return next(iter(loop.batches.epoch(0)))


def gradients(loop: Loop) -> dict[str, Tensor]:
    loop.task.train()
    loop.backward(first_batch(loop))
    return {name: p.grad for name, p in loop.task.named_parameters()}


def subject(pairs: Tensor) -> Subject:
    """A subject whose inputs are the pairs' embeddings already."""
    split = Split(pairs, torch.arange(len(pairs)))
    data = Dataset("given", split, None, split, (2, 3), ("a", "b"), (), (), "")
    return Subject(
        encoder=torch.nn.Identity(),
        dataset=data,
        device=torch.device("cpu"),
        batch_size=4,
        pairs=lambda inputs, random: inputs,
    )


def some_pairs(count: int = 11) -> Tensor:
    pairs = torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(3))
    pairs[:, 1] += pairs[:, 0]
    return pairs


def cosines(a: Tensor, b: Tensor) -> list[list[float]]:
    return vectors.cosines(a.tolist(), b.tolist())


# --- the task ---------------------------------------------------------------------------------


def test_halves_go_through_their_own_towers(tmp_path):
    loop = open_loop(tmp_path, *HALVES, "augment=none", "loss.learnable=false")
    task, batch = loop.task.eval(), first_batch(loop)
    images = (batch.inputs.float() / 255 - task.augment.mean) / task.augment.std
    outputs = task(task.prepare(batch, loop.random))
    for member, columns in enumerate((slice(0, 4), slice(4, 8))):
        features = task.encoder.encoders[member](images[..., columns])
        torch.testing.assert_close(outputs[:, member], task.heads[member](features))
    assert task.encoder(images).shape == (24, 32)
    total = 0.0
    for i, row in enumerate(cosines(*outputs.double().unbind(1))):
        for j, s in enumerate(row):
            sign = 1 if i == j else -1
            total += math.log1p(math.exp(-sign * (10 * s - 10))) / 24
    assert task.loss(outputs, batch)["loss"].item() == pytest.approx(total, rel=1e-5)


def test_views_are_two_of_the_same_sample_and_differ(tmp_path):
    loop = open_loop(tmp_path, *VIEWS, "augment.noise=0", "augment.degrees=0", "augment.shift=0",
                     "augment.scale=0")  # fmt: skip
    batch = first_batch(loop)
    views = loop.task.prepare(batch, loop.random)
    plain = loop.task.augment.plain(batch.inputs)
    assert views.shape == (24, 2, 1, 8, 8)
    for member in (0, 1):  # brightness alone: a view is a multiple of the image, in fractions of 1
        view = views[:, member] * loop.task.augment.std + loop.task.augment.mean
        image = plain * loop.task.augment.std + loop.task.augment.mean
        bright = (image > 0.2) & (view < 0.99)
        ratio = torch.where(bright, view / image, 1.0).flatten(1)
        assert (ratio.max(1).values / ratio.min(1).values).max() < 1.35
    assert not torch.equal(views[:, 0], views[:, 1])
    assert loop.task.encoder(plain).shape == (24, 16)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("micro", [7, 16])
def test_the_cached_gradient_is_that_of_the_batch(case, micro, tmp_path):
    whole = gradients(open_loop(tmp_path, *CASES[case]))
    parts = gradients(open_loop(tmp_path, *CASES[case], f"engine.micro_batch={micro}"))
    assert any(name.startswith("criterion.") for name in whole)
    assert all(value is not None for value in whole.values())
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("shape", [(64,), (1, 8, 1)])
def test_halves_need_images(shape, tmp_path):
    bench = open_bench(compose(HALVES), tmp_path, Watcher())
    bench.dataset = dataclasses.replace(bench.dataset, shape=shape)
    with pytest.raises(BadRequest, match=r"^task.pairs=halves: needs images at least two pixels"):
        make_task(bench)


def test_training_beats_the_untrained_towers():
    words = [*HALVES, "model.hidden=[64]", "engine.epochs=10", "engine.batch_size=50"]
    summary = execute(compose(words))
    assert summary["untrained"]["retrieval_pairs"]["top1"] < 0.02
    untrained, trained = (summary[k]["retrieval_pairs"]["mrr"] for k in ("untrained", "metrics"))
    assert trained > 2 * untrained


# --- the evaluators ---------------------------------------------------------------------------


def test_retrieval_by_loops():
    pairs = some_pairs()
    ranks = []
    for side in (0, 1):
        for i, row in enumerate(cosines(pairs[:, side], pairs[:, 1 - side])):
            ranks.append(1 + sum(x >= row[i] for j, x in enumerate(row) if j != i))
    found = ppr.build("evaluator", "retrieval_pairs")(subject(pairs))
    assert max(ranks) > 1
    assert found == pytest.approx(
        {
            "top1": sum(r == 1 for r in ranks) / 22,
            "mrr": sum(1 / r for r in ranks) / 22,
        }
    )


def test_embeddings_that_have_collapsed_retrieve_nothing():
    found = ppr.build("evaluator", "retrieval_pairs")(subject(torch.ones(10, 2, 3)))
    assert found == pytest.approx({"top1": 0.0, "mrr": 0.1})


def test_pair_cosines_by_loops():
    pairs = some_pairs()
    s = cosines(*pairs.unbind(1))
    matched = [s[i][i] for i in range(11)]
    others = [s[i][j] for i in range(11) for j in range(11) if i != j]
    mean = sum(others) / len(others)
    expected = {
        "positive": sum(matched) / 11,
        "negative": mean,
        "negative_variance": sum((x - mean) ** 2 for x in others) / len(others),
    }
    for split in ("target", "train"):
        found = ppr.build("evaluator", "pair_cosines", split=split)(subject(pairs))
        assert found == pytest.approx(expected, abs=1e-6)
    with pytest.raises(RunFailed, match=r"^evaluator.pair_cosines: needs two pairs"):
        ppr.build("evaluator", "pair_cosines")(subject(pairs[:1]))


def test_pair_risk_by_loops():
    pairs = some_pairs()
    s = cosines(*pairs.unbind(1))
    rows = [math.log(sum(math.exp((x - s[i][i]) / 0.2) for x in s[i])) for i in range(11)]
    columns = [math.log(sum(math.exp((x[i] - s[i][i]) / 0.2) for x in s)) for i in range(11)]
    found = ppr.build("evaluator", "pair_risk", temperature=0.2)(subject(pairs))
    assert found == pytest.approx({"infonce": (sum(rows) + sum(columns)) / 22}, abs=1e-6)


def test_pairs_that_share_nothing_have_the_risk_of_chance():
    found = ppr.build("evaluator", "pair_risk")(subject(torch.ones(10, 2, 3)))
    assert found == pytest.approx({"infonce": math.log(10)})


# --- the losses' own parameters ---------------------------------------------------------------


def test_infonce_learns_its_temperature():
    a, b = some_pairs().double().unbind(1)
    fixed = ppr.build("loss", "infonce", temperature=0.2)
    learned = ppr.build("loss", "infonce", temperature=0.2, learnable=True).double()
    torch.testing.assert_close(learned(a, b), fixed(a, b), rtol=1e-6, atol=0)
    scale = learned.log_scale.exp().detach().requires_grad_()
    u, v = (torch.nn.functional.normalize(x, dim=1) for x in (a, b))
    own = torch.arange(11)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(scale * u @ v.T, own) + cross_entropy(scale * v @ u.T, own)) / 2
    (slope,) = torch.autograd.grad(expected, scale)
    (found,) = torch.autograd.grad(learned(a, b), learned.log_scale)
    torch.testing.assert_close(found, slope * scale)  # d/d log x = x d/dx


@pytest.mark.parametrize("rows", [1, 4, 11, 50])
def test_strips_of_any_height_are_the_same_losses(rows):
    a, b = some_pairs().double().unbind(1)
    whole = ppr.build("loss", "infonce")(a, b)
    torch.testing.assert_close(ppr.build("loss", "infonce", rows=rows)(a, b), whole)
    fields = {"temperature": 10.0, "bias": -10.0}
    x = [t.clone().requires_grad_() for t in (a, b)]
    strips, matrix = siglip(*x, rows=rows, **fields), siglip(*x, **fields)
    torch.testing.assert_close(strips, matrix)
    torch.testing.assert_close(torch.autograd.grad(strips, x), torch.autograd.grad(matrix, x))


# --- the study --------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [-10.0, 0.0])
def test_the_start_is_one_match_and_the_others(bias):
    words = ["experiment=siglip_start", f"loss.bias={bias}", "task.pairs=20", "task.rows=7"]
    found = execute(compose(words))["metrics"]
    sigmoid = 1 / (1 + math.exp(-bias))
    start = -math.log(sigmoid) - 19 * math.log(1 - sigmoid)
    assert found["measured"]["loss"] == pytest.approx(start, rel=1e-12)
    assert found["theory"]["loss"] == pytest.approx(start, rel=1e-12)
    assert found["measured"]["others"] == pytest.approx(-19 * math.log(1 - sigmoid) / start)
    assert 0 < found["strips"]["gradient_error"] < 1e-5
    exact = execute(compose([*words, "task.dtype=float64"]))["metrics"]["strips"]
    assert max(exact["loss_error"], exact["gradient_error"]) < 1e-13
    with pytest.raises(BadRequest, match="^loss: must be siglip"):
        execute(compose(["experiment=siglip_start", "loss=infonce"]))
