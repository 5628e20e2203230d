"""Simple contrastive loss: pulls views together and pushes all others apart, hard ones no harder.

Wang and Liu, "Understanding the Behaviour of Contrastive Loss", CVPR 2021, arXiv:2012.09740: what
InfoNCE is in the limit of high temperatures, a loss that does not weigh negatives by their
similarity. For unit vectors z_i over all views of a batch, P(i) the other views of i's sample, N(i)
those of other samples:

    L = 1/n sum_i ( -mean_{p in P(i)} z_i.z_p + weight mean_{k in H(i)} z_i.z_k )

H(i) is all of N(i) or, with `hardest` below 1, that share of N(i) that is most similar to z_i
(rounded up): hardness by a threshold, the paper's remedy for this loss. The paper sums where this
takes means, so that `weight` does not depend on the batch; it has no public code.

Shapes: embeddings [N, V, D], or [N, D] which has no positive; labels are ignored, taken only so
that a task can call any loss of the family alike. Embeddings are L2-normalised here, half precision
is computed in float32. Without a positive, or without a negative, the whole is 0. All similarities
are made at once where `hardest` is below 1; else memory is linear.

Raises ValueError for embeddings of another rank.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ppr.fields import Fraction, NonNegative
from ppr.losses._batch import normalised_views, rounded_up
from ppr.losses._partition import first_order
from ppr.registry import component


def simple_contrastive(embeddings: Tensor, *, weight: float, hardest: float = 1.0) -> Tensor:
    z, ids, _ = normalised_views(embeddings, None)
    samples, views = embeddings.shape[0], embeddings.shape[1] if embeddings.dim() == 3 else 1
    n = len(z)
    if samples < 2 or views < 2:
        return z.sum() * 0
    own = z.new_zeros(samples, z.shape[1]).index_add(0, ids, z).square().sum()  # with themselves
    alike = (own - z.square().sum()) / (n * (views - 1))
    others = n - views
    if hardest == 1:
        unlike = (z.sum(0).square().sum() - own) / (n * others)
    else:
        kept = max(1, rounded_up(hardest, others))
        unlike = _HardestSum.apply(z, ids, kept) / (n * kept)
    loss: Tensor = weight * unlike - alike
    return loss


class _HardestSum(torch.autograd.Function):
    """Each row's `kept` largest products with rows of other ids, summed; `out=` bars autocast."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, ids: Tensor, kept: int) -> Tensor:
        products = torch.mm(z, z.t(), out=z.new_empty(len(z), len(z)))
        top = products.masked_fill_(ids[:, None] == ids, -math.inf).topk(kept, dim=1)
        ctx.save_for_backward(z, top.indices)
        return top.values.sum()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, chosen = ctx.saved_tensors
        pairs = z.new_zeros(len(z), len(z)).scatter_(1, chosen, 1)
        pairs = pairs + pairs.t()
        return torch.mm(pairs, z, out=torch.empty_like(z)).mul_(grad), None, None


@component("loss", family="contrastive")
class SimpleContrastiveLoss(nn.Module):
    def __init__(self, *, weight: NonNegative = 1.0, hardest: Fraction = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.hardest = hardest

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        del labels
        return simple_contrastive(embeddings, weight=self.weight, hardest=self.hardest)
