"""Studies of memory: gradient caching and tiled losses, against computations of their own here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.run import make_task, open_bench
from ppr.studies.contrastive.held_bytes import HeldBytes
from ppr.studies.contrastive.tiled_infonce import ring_partition

CACHE = ("experiment=gradient_cache", "engine.batch_size=32", "task.pairs=64", "task.width=6",
         "task.latent=3", "task.dim=5", "model.hidden=[8,8]", "engine.device=cpu")  # fmt: skip
TILED = ("experiment=tiled_infonce", "task.pairs=50", "task.dim=5", "engine.device=cpu")


@pytest.fixture
def study(tmp_path: Path) -> Any:
    return lambda *words: make_task(open_bench(compose(words), tmp_path, Watcher()))


def test_saved_bytes_live_until_the_backward_pass_and_shared_ones_count_once() -> None:
    weight = torch.nn.Parameter(torch.ones(10, dtype=torch.float64))
    step = HeldBytes(apart=[weight])
    part = HeldBytes(apart=[weight], within=step)
    with part.saved():
        y = (weight * 2).exp()  # saves its result
        z = y * y  # saves y, the same storage, twice
    assert (part.now, part.peak) == (80, 80)
    with step.saved():
        total = (z * weight).sum()  # saves z; the weight is apart
    assert (part.now, step.now) == (80, 160)
    del y, z
    total.backward()
    assert (part.now, step.now) == (0, 0)
    assert (part.peak, step.peak) == (80, 160)


def test_made_bytes_live_as_long_as_their_tensors() -> None:
    held = HeldBytes()
    with held.made():
        a = torch.zeros(100)
        b = a.view(10, 10).t() + 1
        del a
        c = b[0] * 1
    assert (held.now, held.peak) == (440, 800)
    del b, c
    assert held.now == 0


def by_hand(study: Any, parts: int) -> torch.Tensor:
    """The mean of the parts' gradients, in one vector, for the same first batch and towers."""
    task, inputs = study.task.double(), study.inputs.double()[:32]
    losses = []
    for part in inputs.chunk(parts):
        a, b = (F.normalize(tower(part[:, view]), dim=1) for view, tower in enumerate(task.towers))
        logits, own = a @ b.T / 0.05, torch.arange(len(part))
        losses.append((F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2)
    gradients = torch.autograd.grad(torch.stack(losses).mean(), list(task.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def test_cached_gradient_is_that_of_the_batch(study: Any) -> None:
    cached = study(*CACHE, "engine.micro_batch=6")  # which leaves a last one of 2
    found = cached.measure()
    assert found["measured"]["error"] < 1e-14
    assert found["measured"]["error_same_chunks"] < 1e-14
    assert found["measured"]["cosine"] == pytest.approx(1)
    engines = torch.cat([p.grad.flatten() for p in cached.task.parameters()])
    torch.testing.assert_close(engines, by_hand(cached, 1), rtol=1e-10, atol=1e-13)


def test_accumulated_gradient_is_the_mean_of_the_parts(study: Any) -> None:
    accumulated = study(*CACHE, "engine.accumulate=4")
    found = accumulated.measure()["measured"]
    whole, mine = by_hand(accumulated, 1), by_hand(accumulated, 4)
    assert found["error"] == pytest.approx(float((mine - whole).norm() / whole.norm()), rel=1e-9)
    assert found["cosine"] == pytest.approx(float(F.cosine_similarity(mine, whole, dim=0)))
    assert found["error"] > 0.01


def test_towers_hold_a_chunk_of_activations(study: Any) -> None:
    """Of each row: the input and two hidden layers, 8 bytes a number; dropout is off."""
    found = study(*CACHE, "engine.micro_batch=8").measure()
    assert found["measured"]["encoder_megabytes"] == 2 * 8 * (6 + 8 + 8) * 8 / 1e6
    assert found["measured"]["encoder_memory"] == found["theory"]["encoder_memory"] == 8 / 32
    assert found["measured"]["step_memory"] > 8 / 32


def test_dropout_needs_the_random_states_restored(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*CACHE, "engine.micro_batch=8", "task.dropout=0.3")
    found = study(*words).measure()["measured"]
    assert found["error_same_chunks"] < 1e-14
    assert found["error"] > 0.01
    monkeypatch.setattr("ppr.engine.gradients.restore_random_states", lambda *given: None)
    assert study(*words).measure()["measured"]["error_same_chunks"] > 0.01


def test_batchnorm_normalises_each_chunk(study: Any) -> None:
    words = (*CACHE, "engine.micro_batch=8", "model.batch_norm=true")
    found = study(*words).measure()["measured"]
    assert found["error_same_chunks"] < 1e-13
    assert found["error"] > 0.01


def test_training_changes_the_towers_and_not_the_exactness(study: Any) -> None:
    trained = study(*CACHE, "engine.micro_batch=8", "task.epochs=2")
    before = [p.detach().clone() for p in trained.task.parameters()]
    assert trained.measure()["measured"]["error"] < 1e-13
    assert all((p != b).any() for p, b in zip(trained.task.parameters(), before, strict=True))


def test_gradient_cache_needs_enough_pairs(study: Any) -> None:
    with pytest.raises(BadRequest, match=r"engine\.batch_size=32: must be at most task\.pairs=16"):
        study(*CACHE, "task.pairs=16")


def numpy_loss(a: Any, b: Any, temperature: float) -> float:
    """Row by row, in float64, with the maximum off."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    s, total = a @ b.T / temperature, 0.0
    for i in range(len(s)):
        for line in (s[i], s[:, i]):
            total += math.log(sum(math.exp(x - line.max()) for x in line)) + line.max() - s[i, i]
    return total / (2 * len(s))


@pytest.mark.parametrize("rows", [7, 64])
@pytest.mark.parametrize(("dtype", "precision"), [("float32", 1e-5), ("float64", 1e-13)])
def test_every_form_is_infonce(study: Any, rows: int, dtype: str, precision: float) -> None:
    tiled = study(*TILED, f"task.rows={rows}", f"task.dtype={dtype}", "task.shards=3")
    towers = tiled._towers()
    truth = numpy_loss(*(x.double().numpy() for x in towers), temperature=0.05)
    for loss in tiled.losses.values():
        assert float(loss(*towers)) == pytest.approx(truth, rel=precision)
    for found in tiled.measure().values():
        assert found["finite"] == 1
        assert max(found["loss_error"], found["gradient_error"]) < precision


def test_gradient_errors_are_seen(study: Any) -> None:
    tiled = study(*TILED)
    right = tiled.losses["tiled"]
    tiled.losses["tiled"] = lambda a, b: right(a, b.detach()) + 0 * b.sum()
    found = tiled.measure()["tiled"]
    assert found["loss_error"] < 1e-6
    assert found["gradient_error"] > 0.1


def test_ring_merges_as_the_papers_code_does() -> None:
    """lse - logsigmoid(lse - block) over the blocks, each from a plain sum."""
    torch.manual_seed(0)
    a, b = torch.randn(2, 12, 4, dtype=torch.float64)
    lse = torch.full((12,), -50.0, dtype=torch.float64)
    for block in b.split(3):
        other = (a @ block.T).exp().sum(1).log()
        lse = lse - F.logsigmoid(lse - other)
    torch.testing.assert_close(ring_partition(a, b, shards=4, rows=2), lse)


def test_only_the_form_without_maximum_overflows(study: Any) -> None:
    found = study(*TILED, "task.noise=0.05", "loss.temperature=0.01", "task.rows=8").measure()
    assert found["max_free"]["finite"] == 0
    assert "loss_error" not in found["max_free"]
    for name in ("matrix", "tiled", "ring"):
        assert found[name]["finite"] == 1
        assert found[name]["loss_error"] < 1e-5


def test_memory_of_tiles_is_linear_and_of_the_matrix_is_not(study: Any) -> None:
    found = study(*TILED, "task.pairs=2048", "task.rows=64").measure()
    assert found["tiled"]["growth"] == pytest.approx(8, rel=1e-3)
    assert found["matrix"]["growth"] > 50
    assert found["matrix"]["megabytes"] > 2 * 2048**2 * 4 / 1e6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss=siglip"], "must be infonce"),
        (["task.shards=51"], r"task\.shards=51: must be at most task\.pairs=50"),
        (["task.pairs=7"], r"task\.pairs=7"),
    ],
)
def test_tiled_infonce_refuses(study: Any, words: list[str], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        study(*TILED, *words)
