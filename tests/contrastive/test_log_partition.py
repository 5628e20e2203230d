"""The log-partition that the contrastive losses share: in strips or whole, the same."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ppr.losses._partition import log_partition


def _loop(
    a: Tensor, c: Tensor, own: int | None = None, groups: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """One logsumexp a row, over a Python list of the products that count."""
    rows = []
    for i in range(len(a)):
        terms = [
            torch.dot(a[i], c[j])
            for j in range(len(c))
            if (own is None or j != own + i)
            and (groups is None or bool(groups[0][i] == groups[1][j]))
        ]
        rows.append(torch.stack(terms).exp().sum().log() if terms else a.new_tensor(-math.inf))
    return torch.stack(rows)


@settings(max_examples=40, deadline=None)
@given(
    anchors=st.integers(1, 7),
    own=st.none() | st.integers(0, 4),
    rows=st.integers(1, 8),
    grouped=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_rectangular(anchors: int, own: int | None, rows: int, grouped: bool, seed: int) -> None:
    """Anchors of one process (`own` its first row) among candidates from all."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(anchors, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    c = torch.randn(11, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(anchors, generator=generator, dtype=torch.float64)
    groups = None
    if grouped:
        groups = (torch.arange(anchors) % 2, torch.arange(11) % 2)
    value = log_partition(a, c, own=own, groups=groups, rows=rows)
    expected = _loop(a, c, own, groups)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        torch.autograd.grad(value @ upstream, (a, c)),
        torch.autograd.grad(expected @ upstream, (a, c)),
    )


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(2, 9),
    rows=st.integers(1, 10),
    bound=st.sampled_from([math.inf, 40.0]),
    seed=st.integers(0, 2**31),
)
def test_among_themselves(count: int, rows: int, bound: float, seed: int) -> None:
    """By symmetry (bounded) or not, an uneven upstream gradient a row, any height of strip."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(count, generator=generator, dtype=torch.float64)
    value = log_partition(z, bound=bound, rows=rows)
    expected = _loop(z, z, own=0)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        torch.autograd.grad(value @ upstream, z), torch.autograd.grad(expected @ upstream, z)
    )


@pytest.mark.parametrize("bound", [math.inf, 40.0])
@pytest.mark.parametrize("rows", [2, 100])
def test_nothing_to_sum_is_minus_infinity_without_gradient(bound: float, rows: int) -> None:
    z = torch.randn(5, 3, dtype=torch.float64).requires_grad_()
    ids = torch.tensor([0, 0, 1, 2, 2])
    value = log_partition(z, groups=(ids, ids), bound=bound, rows=rows)
    assert (value == -math.inf).tolist() == [False, False, True, False, False]
    (grad,) = torch.autograd.grad(value.masked_fill(value == -math.inf, 0).sum(), z)
    assert grad.isfinite().all()
    assert (grad[2] == 0).all()


@pytest.mark.parametrize("bound", [math.inf, 40.0])
@pytest.mark.parametrize("rows", [3, 100])
def test_backward_twice_and_not_of_second_order(bound: float, rows: int) -> None:
    z = torch.randn(7, 3, dtype=torch.float64).requires_grad_()
    total = log_partition(z, bound=bound, rows=rows).sum()
    first, second = (torch.autograd.grad(total, z, retain_graph=True)[0] for _ in range(2))
    assert first.equal(second)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(total, z, create_graph=True)


def test_float32_at_the_bound_has_no_overflow() -> None:
    """Opposite and equal vectors at logits of ±43: the least and greatest terms there can be."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]).mul(43**0.5).requires_grad_()
    value = log_partition(z, bound=43.0)
    torch.testing.assert_close(value, torch.tensor([43.0, 43.0, -43.0 + math.log(2)]))
    (grad,) = torch.autograd.grad(value.sum(), z)
    (exact,) = torch.autograd.grad(log_partition(z.double()).sum(), z)
    torch.testing.assert_close(grad, exact)


def test_large_logits_need_no_bound() -> None:
    z = (torch.randn(9, 4, dtype=torch.float64) * 30).requires_grad_()
    logits = (z @ z.T).fill_diagonal_(-math.inf)
    torch.testing.assert_close(log_partition(z, rows=2), logits.logsumexp(1))
