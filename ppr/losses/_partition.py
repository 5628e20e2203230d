"""The log-partition of similarities: the one expensive term that the contrastive losses share.

    lse_i = log sum_{j in A(i)} exp(<a_i, c_j>)

over anchors a [M, D] and candidates c [N, D], whose products are the logits: any temperature is
already in them. A(i) is all candidates, less the anchor's own copy and those of other groups where
the caller says so.

The similarity matrix is made a strip of rows at a time and never stored, so memory is linear in
N; the backward pass makes each strip again. When the whole matrix is one strip, it is kept instead:
a small batch pays for one matrix product forwards and one backwards.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

SAFE_BOUND = 43.0
"""Logits within ±43 need no maximum taken off: e**±43, their sums over any batch and their ratios
(e**±86) are normal float32 numbers. Unit vectors over a temperature >= 1/43 are within it."""

STRIP_ELEMENTS = {"cpu": 1 << 21}
"""Similarities in a strip. On a CPU a strip stays in the cache; elsewhere few launches matter."""
STRIP_ELEMENTS_ELSEWHERE = 1 << 24
MIN_ROWS = 64
"""Strips of fewer rows would starve the matrix product."""


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse `create_graph=True`, of which torch's once_differentiable makes a silent constant."""

    @functools.wraps(backward)
    def checked(*args: Any) -> Any:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise RuntimeError("the contrastive losses have no second derivative (create_graph)")
        return backward(*args)

    return checked


def log_partition(
    anchors: Tensor,
    candidates: Tensor | None = None,
    *,
    own: int | None = None,
    groups: tuple[Tensor, Tensor] | None = None,
    bound: float = math.inf,
    rows: int | None = None,
) -> Tensor:
    """lse [M] of anchors [M, D] over candidates [N, D], exact, with its gradient.

    Args:
        anchors: float32 or float64. Half precision is for the caller to widen, once.
        candidates: None for the anchors themselves, each less itself.
        own: the candidate that is the first anchor's own copy; anchor i's, at own + i, is left out.
            Such are one process's anchors among the candidates gathered from all.
        groups: integer ids of anchors [M] and candidates [N]; only equal ones are summed.
        bound: no |<a_i, c_j>| exceeds it (1/temperature of unit vectors). Anchors that are their
            own candidates then take half the products, by symmetry.
        rows: of a strip; chosen by the device and the size if None.

    A row with nothing to sum is -inf, with gradient 0.
    """
    symmetric = candidates is None and bound <= SAFE_BOUND
    if candidates is None:
        candidates, own = anchors, 0
    rows = rows or strip_rows(candidates)
    lse: Tensor
    if symmetric:
        lse = _SymmetricLogPartition.apply(anchors, groups, rows)
    else:
        lse = _LogPartition.apply(anchors, candidates, own, groups, rows)
    return lse


def strip_rows(candidates: Tensor) -> int:
    """How many anchors' similarities with all candidates [N, D] are made at a time."""
    elements = STRIP_ELEMENTS.get(candidates.device.type, STRIP_ELEMENTS_ELSEWHERE)
    return max(MIN_ROWS, elements // max(1, len(candidates)))


def similarity_strips(
    anchors: Tensor,
    candidates: Tensor,
    own: int | None,
    groups: tuple[Tensor, Tensor] | None,
    rows: int,
    *,
    upper: bool = False,
) -> Iterator[tuple[int, int, Tensor]]:
    """First row, end row and logits of each strip, -inf where left out; one buffer, used again.

    `upper` strips begin at the diagonal. Products go to `out=`, which autocast leaves alone.
    """
    buffer = anchors.new_empty(min(rows, len(anchors)) * len(candidates))
    for start in range(0, max(1, len(anchors)), rows):
        end = min(start + rows, len(anchors))
        first = start if upper else 0
        height, width = end - start, len(candidates) - first
        strip = buffer[: height * width].view(height, width)
        torch.mm(anchors[start:end], candidates[first:].t(), out=strip)
        if own is not None:
            strip.diagonal(own + start - first).fill_(-math.inf)
        if groups is not None:
            strip.masked_fill_(groups[0][start:end, None] != groups[1][first:], -math.inf)
        yield start, end, strip


class _LogPartition(torch.autograd.Function):
    """Any anchors and candidates: each row less its own maximum."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, *strips: Any) -> Tensor:
        *_, rows = ctx.strips = strips
        lse, whole = anchors.new_empty(len(anchors)), None
        for start, end, strip in similarity_strips(anchors, candidates, *strips):
            torch.logsumexp(strip, 1, out=lse[start:end])
            whole = strip
        ctx.save_for_backward(anchors, candidates, lse, whole if rows >= len(anchors) else None)
        return lse

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        anchors, candidates, lse, whole = ctx.saved_tensors
        # A row of -inf only: exp(-inf - 0) = 0, where exp(-inf + inf) is not a number.
        shift = lse.masked_fill(lse == -math.inf, 0).unsqueeze(1)
        grad_anchors, grad_candidates = torch.zeros_like(anchors), torch.zeros_like(candidates)
        strips = similarity_strips(anchors, candidates, *ctx.strips)
        for start, end, strip in strips if whole is None else [(0, len(anchors), whole)]:
            weights = (strip - shift[start:end]).exp_().mul_(grad[start:end, None])
            torch.mm(weights, candidates, out=grad_anchors[start:end])
            grad_candidates.addmm_(weights.t(), anchors[start:end])
        return grad_anchors, grad_candidates, None, None, None


class _SymmetricLogPartition(torch.autograd.Function):
    """Anchors among themselves, logits within SAFE_BOUND: K = exp(S) = K^T, so half of it is made.

    With lse_i = log sum_j K_ij and upstream gradient g, dz = W z where
    W_ij = K_ij (g_i / e^lse_i + g_j / e^lse_j) is symmetric as well.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, *strips: Any) -> Tensor:
        groups, rows = ctx.strips = strips
        if rows >= len(z):
            # Not by way of the strips, whose bookkeeping a small batch would feel.
            whole = torch.mm(z, z.t(), out=z.new_empty(len(z), len(z))).fill_diagonal_(-math.inf)
            if groups is not None:
                whole.masked_fill_(groups[0].unsqueeze(1) != groups[1], -math.inf)
            total = whole.exp_().sum(1)
        else:
            total, whole = z.new_zeros(len(z)), None
            for start, end, strip in similarity_strips(z, z, 0, *strips, upper=True):
                strip.exp_()
                total[start:end].add_(strip.sum(1))
                total[end:].add_(strip[:, end - start :].sum(0))
        ctx.save_for_backward(z, total, whole)
        return total.log()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, total, whole = ctx.saved_tensors
        share = grad / total.clamp(min=torch.finfo(total.dtype).tiny)
        if whole is not None:
            W = torch.add(share.unsqueeze(1), share).mul_(whole)
            return torch.mm(W, z, out=torch.empty_like(z)), None, None
        grad_z = torch.zeros_like(z)
        *_, rows = ctx.strips
        scratch = z.new_empty(rows * len(z))
        for start, end, strip in similarity_strips(z, z, 0, *ctx.strips, upper=True):
            W = scratch[: strip.numel()].view_as(strip)
            torch.add(share[start:end, None], share[start:], out=W).mul_(strip.exp_())
            grad_z[start:end].addmm_(W, z[start:])
            grad_z[end:].addmm_(W[:, end - start :].t(), z[start:end])
        return grad_z, None, None
