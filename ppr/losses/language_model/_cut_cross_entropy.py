"""Cross-entropy of a linear classifier whose logits are never held.

Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009 (code:
apple/ml-cross-entropy, Triton kernels). Of embeddings e [N, D], a classifier c [V, D] and targets
x [N],

    loss = mean_i [ log sum_j exp(z_ij) - z_{i x_i} ],    z_ij = <e_i, c_j>

is made a block of logits at a time: the forward pass merges each block's log-sum-exp into that of
the ones before, the backward pass makes the blocks again, S = exp(z - lse), and adds each one's
part to both gradients, in their own precision, as the published kernel does. Memory is O(N + D)
beside the gradients. `softcap` k has z replaced by k tanh(z / k), as Gemma 2 does. With
`filter_below` a block whose S less the targets' ones lies below it everywhere adds nothing (2^-12
in the paper, what bfloat16 resolves).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ppr.losses._partition import first_order

ROWS, COLUMNS = 512, 256
"""Of a block; a kernel keeps it on the chip, here it is a tensor."""


class Skipped(NamedTuple):
    """Blocks of a backward pass, and those of them that were left out."""

    blocks: int
    skipped: int


def cut_cross_entropy(
    embeddings: Tensor,
    classifier: Tensor,
    target: Tensor,
    *,
    softcap: float | None = None,
    filter_below: float | None = None,
    rows: int = ROWS,
    columns: int = COLUMNS,
    seen: list[Skipped] | None = None,
) -> Tensor:
    """The mean loss, float32, of embeddings [N, D], classifier [V, D] and integer targets [N].

    Args:
        rows, columns: of a block of logits.
        seen: gets the counts of a backward pass with `filter_below`.
    """
    loss: Tensor = _CutCrossEntropy.apply(
        embeddings, classifier, target, softcap, filter_below, (rows, columns), seen
    )
    return loss


def _logits(e: Tensor, c: Tensor, softcap: float | None) -> Tensor:
    z = (e @ c.T).to(torch.promote_types(e.dtype, torch.float32))
    return z if softcap is None else z.div_(softcap).tanh_().mul_(softcap)


def _starts(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def _place(target: Tensor, block: slice) -> tuple[Tensor, Tensor]:
    """Of targets [r], their columns in a block [r, 1], and whether they are in it at all [r, 1]."""
    at = target[:, None] - block.start
    inside = (at >= 0) & (at < block.stop - block.start)
    return at.clamp(0, block.stop - block.start - 1), inside


class _CutCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        e: Tensor,
        c: Tensor,
        target: Tensor,
        softcap: float | None,
        filter_below: float | None,
        block: tuple[int, int],
        seen: list[Skipped] | None,
    ) -> Tensor:
        wide = torch.promote_types(e.dtype, torch.float32)
        lse = e.new_full((len(e),), -torch.inf, dtype=wide)
        correct = torch.zeros_like(lse)
        for some in _starts(len(e), block[0]):
            for part in _starts(len(c), block[1]):
                z = _logits(e[some], c[part], softcap)
                at, inside = _place(target[some], part)
                correct[some] += torch.where(inside, z.gather(1, at), 0).squeeze(1)
                lse[some] = torch.logaddexp(lse[some], z.logsumexp(1))
        ctx.save_for_backward(e, c, target, lse)
        ctx.softcap, ctx.filter_below, ctx.block, ctx.seen = softcap, filter_below, block, seen
        return (lse - correct).mean()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        e, c, target, lse = ctx.saved_tensors
        to_e, to_c = torch.zeros_like(e), torch.zeros_like(c)
        scale = grad / len(e)
        blocks = skipped = 0
        for some in _starts(len(e), ctx.block[0]):
            for part in _starts(len(c), ctx.block[1]):
                z = _logits(e[some], c[part], ctx.softcap)
                at, inside = _place(target[some], part)
                g = (z - lse[some, None]).exp_()
                g.scatter_add_(1, at, -inside.to(g.dtype))
                blocks += 1
                if ctx.filter_below is not None and bool(g.abs().max() < ctx.filter_below):
                    skipped += 1
                    continue
                if ctx.softcap is not None:
                    g.mul_(z.div_(ctx.softcap).square_().neg_().add_(1))
                g = g.mul_(scale).to(e.dtype)
                to_e[some].addmm_(g, c[part])
                to_c[part].addmm_(g.T, e[some])
        if ctx.seen is not None:
            ctx.seen.append(Skipped(blocks, skipped))
        return to_e, to_c, None, None, None, None, None
