"""Cross-entropy in blocks: against torch's own of all logits, and the bytes it holds by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.losses.language_model._cut_cross_entropy import Skipped, cut_cross_entropy
from ppr.studies.language_model.loss_memory import fused, held, whole

N, D, V = 37, 8, 101


def drawn(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    e = torch.randn(N, D, generator=random, dtype=dtype)
    c = torch.randn(V, D, generator=random, dtype=dtype)
    return e, c, torch.randint(V, (N,), generator=random)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("block", [(1, 1), (7, 16), (37, 101), (128, 256)])
def test_value_and_gradients_are_those_of_all_logits(block: Any, softcap: float | None) -> None:
    e, c, target = drawn()
    e.requires_grad_()
    c.requires_grad_()
    z = e @ c.T
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    expected = F.cross_entropy(z, target)
    found = cut_cross_entropy(e, c, target, softcap=softcap, rows=block[0], columns=block[1])
    torch.testing.assert_close(found, expected)
    for got, want in zip(
        torch.autograd.grad(3 * found, (e, c)),
        torch.autograd.grad(3 * expected, (e, c)),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("softcap", [None, 2.0])
def test_kernels_as_compiled_have_the_same_value_and_gradients(softcap: float | None) -> None:
    e, c, target = drawn()
    e.requires_grad_()
    c.requires_grad_()
    expected = whole(F.cross_entropy, softcap)(e, c, target)
    found = fused(e, c, target, softcap)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(3 * found, (e, c)), torch.autograd.grad(3 * expected, (e, c))
    )


def test_its_gradient_is_that_of_its_value() -> None:
    e, c, target = (x[:5] if x.dim() == 2 else x[:5] % 5 for x in drawn())
    inputs = (e.clone().requires_grad_(), c.clone().requires_grad_())
    assert torch.autograd.gradcheck(
        lambda a, b: cut_cross_entropy(a, b, target, softcap=3.0, rows=2, columns=2), inputs
    )


def test_large_logits_do_not_overflow_in_bfloat16() -> None:
    e, c, target = drawn(torch.float32)
    big = (100 * e).bfloat16().requires_grad_()
    loss = cut_cross_entropy(big, c.bfloat16(), target, rows=8, columns=8)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert big.grad is not None
    assert big.grad.isfinite().all()


def test_the_filter_skips_blocks_without_weight() -> None:
    """Two tokens, each of which is sure of its own word; two blocks hold these, two nothing."""
    c = torch.eye(4, dtype=torch.float64)
    target = torch.tensor([0, 2])
    e = (4 * c[target]).requires_grad_()
    seen: list[Skipped] = []

    def gradient(below: float | None) -> Tensor:
        loss = cut_cross_entropy(e, c, target, filter_below=below, rows=1, columns=2, seen=seen)
        return torch.autograd.grad(loss, e)[0]

    exact, some, none = gradient(None), gradient(0.03), gradient(1.0)
    assert seen == [Skipped(4, 0), Skipped(4, 2), Skipped(4, 4)]
    kept = torch.tensor([[True, True, False, False], [False, False, True, True]])
    torch.testing.assert_close(some, torch.where(kept, exact, 0))
    assert not none.any()


def test_bytes_are_those_counted_by_hand() -> None:
    """Of bfloat16 logits, 2 bytes each: tanh, times the cap, float32 and its log-softmax."""
    n, d, v = 64, 16, 512
    with torch.device("meta"):
        e, c = (torch.empty(m, d, dtype=torch.bfloat16) for m in (n, v))
        target = torch.empty(n, dtype=torch.long)
    logits = n * v / 2**20
    found = held(whole(F.cross_entropy, 30.0), e, c, target)
    assert found["forward"] == pytest.approx((2 + 2 + 4 + 4) * logits, rel=1e-3)
    assert found["backward"] == pytest.approx((4 + 4) * logits, rel=0.01)
    assert found["gradients"] == pytest.approx(2 * (n + v) * d / 2**20)
    without = held(whole(F.cross_entropy), e, c, target)
    assert without["forward"] == pytest.approx((2 + 4 + 4) * logits, rel=1e-3)

    found = held(fused, e, c, target)
    assert found["forward"] == pytest.approx(2 * logits, rel=0.1)
    assert found["backward"] == pytest.approx((4 + 2) * logits, rel=0.1)

    def cut(e: Tensor, c: Tensor, target: Tensor) -> Tensor:
        return cut_cross_entropy(e, c, target, softcap=30.0, rows=8, columns=8)

    found = held(cut, e, c, target)
    blocks = 8 * 8 * 4 / 2**20
    assert found["forward"] < 4 * blocks + 40 * n / 2**20
    assert found["backward"] < found["gradients"] + 6 * blocks + 40 * n / 2**20
