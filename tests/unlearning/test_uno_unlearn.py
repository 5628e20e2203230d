"""UNO: its step by autograd of the loss itself, both distances by scipy, weights by their hash."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import entropy
from torch import Tensor

from ppr.data.dataset import Split
from ppr.data.published.uno_mnist import UnoMNIST
from ppr.errors import RunFailed
from ppr.evaluators.generative.generated import frechet
from ppr.studies.unlearning.gradient_unlearning import (
    GradientUnlearning,
    divergence,
    released_distance,
)


def study(method: str, **fields: Any) -> GradientUnlearning:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 4, 4), dtype=torch.uint8, generator=random)
    data = SimpleNamespace(train=Split(images, torch.arange(64) % 4), classes="0123", extra={})
    bench: Any = SimpleNamespace(dataset=data, device=torch.device("cpu"), seed=0)
    return GradientUnlearning(bench, method=method, batch=8, **fields)


def stepped(method: str, number: int, **fields: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A step's direction, and by plain autograd of the same losses: g_f, g_r and the penalty's."""
    made = study(method, **fields)
    retained, forgotten = next(made.batches())
    state = made.random.get_state()
    codes = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
    parameters = list(made.vae.parameters())
    losses = [made.vae.loss(x, made.random) for x in (forgotten, retained)]
    gradients = [torch.autograd.grad(loss, parameters, create_graph=True) for loss in losses]
    g_f, g_r = (torch.cat([x.flatten() for x in gradient]) for gradient in gradients)
    cosine = torch.nn.functional.cosine_similarity(g_f, g_r, dim=0)
    slope = torch.autograd.grad(cosine.square(), parameters)
    made.random.set_state(state)
    made.step(torch.optim.SGD(parameters, 0.0), number, retained, forgotten, codes)
    along = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    return along, g_f.detach(), g_r.detach(), torch.cat([x.flatten() for x in slope])


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("method", ["uno", "uno_surgery"])
def test_unos_step_is_the_gradient_of_its_loss(method: str, number: int) -> None:
    along, g_f, g_r, slope = stepped(method, number, weight=50.0)
    if method == "uno" or number == 1:
        torch.testing.assert_close(along, g_r + 50 * slope, rtol=1e-3, atol=1e-3)
    else:
        assert abs(float(along @ g_f)) < 1e-4 * float(along.norm() * g_f.norm())


def test_the_other_steps() -> None:
    along, g_f, _, _ = stepped("ascent", 1)
    torch.testing.assert_close(along, -g_f)
    torch.testing.assert_close(stepped("alternating", 1)[0], -g_f)
    for found, g_f, g_r, _ in (stepped("surgery", 1), stepped("alternating", 2)):
        share = float(g_f @ g_r) / float(g_f @ g_f)
        torch.testing.assert_close(found, g_r - share * g_f, rtol=1e-3, atol=1e-3)
    found, g_f, g_r, _ = stepped("surgery_ascent", 1)
    share = float(g_f @ g_r) / float(g_r @ g_r)
    torch.testing.assert_close(found, share * g_r - g_f, rtol=1e-3, atol=1e-3)


def test_distances_are_those_of_scipys_square_root() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 3)) @ random.normal(size=(3, 3))
    y = random.normal(size=(60, 3)) @ random.normal(size=(3, 3)) + 1
    c, d = np.cov(x.T), np.cov(y.T)
    apart = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c + d)
    values = np.linalg.eigvalsh((c @ d + d @ c) / 2)
    released = apart - 2 * np.sqrt(np.maximum(values, 0)).sum()
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    assert released_distance(a, b) == pytest.approx(released)
    assert frechet(a, b) == pytest.approx(apart - 2 * np.trace(sqrtm(c @ d)).real)
    assert released > frechet(a, b) + 1e-3
    # Where the covariances commute, the two are one.
    assert released_distance(a, 2 * a) == pytest.approx(frechet(a, 2 * a))


def test_divergence_is_from_the_uniform_law_without_the_class() -> None:
    logits = torch.randn(20, 4, dtype=torch.float64)
    logits[:, 2] = -30
    mean = logits.softmax(1).mean(0).numpy()
    found = divergence(logits, 2).item()
    assert found == pytest.approx(entropy(np.delete(mean, 2), np.full(3, 1 / 3)), abs=1e-6)


def test_nothing_is_measured_as_forgotten_that_is_not() -> None:
    found = study("uno", steps=2, threshold=0.0, samples=32).measure()
    assert found["forget"]["steps"] == 2
    assert study("uno", steps=2, threshold=1.0, samples=32).measure()["forget"]["steps"] == 1


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "uno_mnist").mkdir()
    for name in UnoMNIST.card.files.values():
        (tmp_path / "uno_mnist" / name).write_bytes(b"other")
    with pytest.raises(RunFailed, match="not the weights"):
        UnoMNIST(tmp_path).weights()
