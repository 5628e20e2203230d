"""InfoNCE with VRN, which reduces the variance of the negatives' similarities in small batches.

Lee et al., "On the Similarities of Embeddings in Contrastive Learning", ICML 2025, and the authors'
code (leechungpa/embedding-similarity-cl, solo/losses/vrn.py). For unit vectors:

    L = InfoNCE(a, b) + weight / (N (N-1)) sum_{i != j} (a_i.b_j + 1/samples)^2

The term draws a batch's negatives to where they are at the optimum of the whole training set. That
is -1/(n-1) for n samples; the code takes -1/n, and so does this. The code adds the term, weight 30,
to SimCLR, DCL or DHEL. As there, the negatives are between the views only, of another index.
InfoNCE is the mean of its two directions (infonce.py).

Shapes: a, b [N, D], matching rows positive. They are L2-normalised here; half precision is computed
in float32. A batch of one has no negatives and gives 0, as an empty one. Memory is linear in N.

Raises ValueError for embeddings that are not two [N, D] of one shape.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ppr.fields import Count, NonNegative, Positive
from ppr.losses._batch import matched_rows
from ppr.losses._partition import first_order
from ppr.losses.contrastive.infonce import infonce
from ppr.registry import component


def vrn(a: Tensor, b: Tensor, *, target: float) -> Tensor:
    """The mean of (a_i.b_j - target)^2 over i != j."""
    a, b = matched_rows(a, b)
    if len(a) < 2:
        return (a + b).sum() * 0
    matched = (a * b).sum(1)
    total = (a.sum(0) * b.sum(0)).sum() - matched.sum()
    squares = _SquareSum.apply(a, b) - matched.square().sum()
    mean: Tensor = (squares - 2 * target * total) / (len(a) * (len(a) - 1)) + target**2
    return mean


class _SquareSum(torch.autograd.Function):
    """sum_ij (a_i.b_j)^2 = <A'A, B'B>, without an N x N matrix; `out=` so that autocast keeps off.

    Its gradients are 2 A B'B and 2 B A'A.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        grams = [torch.mm(x.t(), x, out=x.new_empty(x.shape[1], x.shape[1])) for x in (a, b)]
        ctx.save_for_backward(a, b, *grams)
        return (grams[0] * grams[1]).sum()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, b, gram_a, gram_b = ctx.saved_tensors
        grad_a = torch.mm(a, gram_b, out=torch.empty_like(a)).mul_(2 * grad)
        grad_b = torch.mm(b, gram_a, out=torch.empty_like(b)).mul_(2 * grad)
        return grad_a, grad_b


@component("loss", family="two-tower")
class VRNLoss(nn.Module):
    """`samples`: of the training set."""

    def __init__(
        self, *, samples: Count = 50000, weight: NonNegative = 30.0, temperature: Positive = 0.2
    ) -> None:
        super().__init__()
        self.target = -1 / samples
        self.weight = weight
        self.temperature = temperature

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        contrast = infonce(a, b, temperature=self.temperature)
        return contrast + self.weight * vrn(a, b, target=self.target)
