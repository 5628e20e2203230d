"""LDR-KL and ALDR-KL: limits, the maximum over the simplex, and the lambdas that samples keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax

import ppr
from ppr.registry import load

K = 5
Z = 2 * torch.randn(6, K, generator=torch.Generator().manual_seed(0)).double()
Y = torch.tensor([0, 4, 2, 2, 1, 3])


def test_limits_of_the_study() -> None:
    class Bench:
        seed = 0

    found = load("task", "ldr_limits")(Bench(), samples=10).measure()["limits"]
    assert found["maximum"] < 1e-6
    assert found["cross_entropy"] < 1e-12
    assert 0 < found["hinge"] <= 1e-3 * math.log(10) + 1e-12
    assert 0 < found["mean_margin"] < 1e-4


def test_two_classes_by_hand() -> None:
    """f = (1, 0), y = 1, margin 0.5, lambda 2: 2 log((exp(1.5 / 2) + 1) / 2)."""
    loss = ppr.build("loss", "ldr", lam=2.0, margin=0.5, scores="logits")
    value = loss(torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([1]))
    assert value.item() == pytest.approx(2 * math.log((math.exp(0.75) + 1) / 2))


def test_probabilities_that_are_one_hot_are_the_class() -> None:
    loss = ppr.build("loss", "ldr", lam=0.7)
    torch.testing.assert_close(loss(Z, torch.eye(K).double()[Y]), loss(Z, Y))


def test_adaptive_lambdas_by_a_loop() -> None:
    """Two visits of the same samples: the second starts from the lambdas of the first."""
    lam, alpha, margin = 3.0, 1.5, 0.2
    loss = ppr.build("loss", "ldr", lam=lam, alpha=alpha, margin=margin, scores="mean")
    loss.see(torch.zeros(20, dtype=torch.long), K)
    loss.double()
    indices = torch.tensor([7, 3, 19, 0, 11, 4])
    kept = [lam] * 6
    for _ in range(2):
        total = 0.0
        for i, (row, y) in enumerate(zip(Z.numpy(), Y.tolist(), strict=True)):
            f = row / np.abs(row).mean()
            p = softmax(f / kept[i]) + 1e-5
            p = p / p.sum()
            kept[i] = lam - lam / (alpha * math.log(K)) * float((p * np.log(K * p)).sum())
            m = [f[k] - f[y] + (margin if k != y else 0.0) for k in range(K)]
            total += kept[i] * math.log(sum(math.exp(v / kept[i]) for v in m) / K)
            total -= alpha * math.log(K) / (2 * lam) * (kept[i] - lam) ** 2
        assert loss(Z, Y, indices=indices).item() == pytest.approx(total / 6)
        np.testing.assert_allclose(loss.lambdas[indices], kept)
    rest = np.setdiff1d(np.arange(20), indices)
    assert (loss.lambdas[rest] == lam).all()


def test_confident_samples_get_smaller_lambdas() -> None:
    loss = ppr.build("loss", "ldr", lam=1.0, alpha=2.0, scores="logits")
    loss.see(torch.zeros(2, dtype=torch.long), K)
    logits = torch.zeros(2, K)
    logits[0, 0] = 8.0
    loss(logits, torch.tensor([0, 0]), indices=torch.arange(2))
    assert loss.lambdas[0] < 0.6
    assert loss.lambdas[1] == pytest.approx(1.0, abs=1e-4)


def test_the_gradient_is_that_of_fixed_lambdas() -> None:
    loss = ppr.build("loss", "ldr", lam=2.0, alpha=1.5, margin=0.2, scores="logits")
    loss.see(torch.zeros(6, dtype=torch.long), K)
    logits = Z.clone().requires_grad_()
    loss(logits, Y, indices=torch.arange(6)).backward()
    for i in range(6):
        fixed = ppr.build("loss", "ldr", lam=loss.lambdas[i].item(), margin=0.2, scores="logits")
        row = Z[i : i + 1].clone().requires_grad_()
        fixed(row, Y[i : i + 1]).backward()
        assert logits.grad is not None
        assert row.grad is not None
        torch.testing.assert_close(logits.grad[i], row.grad[0] / 6, rtol=1e-5, atol=1e-7)


def test_adaptive_lambdas_are_saved_and_need_the_samples_numbers() -> None:
    loss = ppr.build("loss", "ldr", alpha=2.0)
    with pytest.raises(ValueError, match="indices"):
        loss(Z, Y, indices=torch.arange(6))
    loss.see(torch.zeros(6, dtype=torch.long), K)
    assert "lambdas" in loss.state_dict()
    with pytest.raises(ValueError, match="indices"):
        loss(Z, Y)
    assert not ppr.build("loss", "ldr").by_index
