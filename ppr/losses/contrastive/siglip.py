"""SigLIP, the pairwise sigmoid loss: every pair of rows of two towers is a match or it is not.

Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023, arXiv:2303.15343,
algorithm 1. For unit vectors a_i, b_j, with z_ij = 1 where i = j and -1 elsewhere:

    L = 1/N sum_i sum_j log( 1 + e^{-z_ij (t a_i.b_j + bias)} )

Here t multiplies, where InfoNCE's temperature divides. In the paper t = e^{t'}, and t' and the bias
are learned from t = 10, bias = -10: `learnable` makes them parameters, and a task clips t at 100
after each step, as CLIP does (infonce.py). The theory of its optimum (arXiv:2402.12613 and its
code) writes t a.b - b, so its b is minus this bias.

Shapes: a, b [N, D], matching rows positive. They are L2-normalised here; half precision is computed
in float32. An empty batch gives 0 with a gradient of 0. The similarities are made a strip of rows
at a time, forwards and again backwards, so memory is linear in N.

Raises ValueError for embeddings that are not two [N, D] of one shape, BadRequest for a learnable
temperature that begins beyond its bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Positive
from ppr.losses._batch import matched_rows
from ppr.losses._partition import first_order, similarity_strips, strip_rows
from ppr.losses.contrastive.infonce import LARGEST
from ppr.registry import component


def siglip(
    a: Tensor,
    b: Tensor,
    *,
    temperature: float | Tensor,
    bias: float | Tensor,
    rows: int | None = None,
) -> Tensor:
    """The sum over pairs, divided by the number of rows; `rows` of a strip, chosen if None."""
    a, b = matched_rows(a, b)
    if not len(a):
        return (a + b).sum()
    matched = temperature * (a * b).sum(1) + bias
    # The bias is one more coordinate, so that its gradient comes with those of the embeddings.
    ones = torch.ones_like(a[:, :1])
    anchors, candidates = torch.cat([temperature * a, bias * ones], 1), torch.cat([b, ones], 1)
    unmatched: Tensor = _SoftplusSum.apply(anchors, candidates, rows or strip_rows(candidates))
    return (F.softplus(-matched).sum() + unmatched) / len(a)


def _unmatched(anchors: Tensor, candidates: Tensor, rows: int) -> Iterator[tuple[int, int, Tensor]]:
    """Strips of the logits, -inf where the rows match."""
    return similarity_strips(anchors, candidates, 0, None, rows)


class _SoftplusSum(torch.autograd.Function):
    """sum_{i != j} log(1 + e^{<a_i, c_j>}), its gradient the logistic function of each product."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(anchors, candidates)
        ctx.rows = rows
        total = anchors.new_zeros(())
        for _, _, strip in _unmatched(anchors, candidates, rows):
            total += F.softplus(strip).sum()
        return total

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        anchors, candidates = ctx.saved_tensors
        grad_anchors, grad_candidates = torch.zeros_like(anchors), torch.zeros_like(candidates)
        for start, end, strip in _unmatched(anchors, candidates, ctx.rows):
            weights = strip.sigmoid_().mul_(grad)
            torch.mm(weights, candidates, out=grad_anchors[start:end])
            grad_candidates.addmm_(weights.t(), anchors[start:end])
        return grad_anchors, grad_candidates, None


@component("loss", family="two-tower")
class SigLIPLoss(nn.Module):
    def __init__(
        self, *, temperature: Positive = 10.0, bias: float = -10.0, learnable: bool = False
    ) -> None:
        super().__init__()
        self.temperature: float | Tensor = temperature
        self.bias: float | Tensor = bias
        self.learnable = learnable
        if learnable:
            if temperature > LARGEST:
                what = f"learnable=true keeps it at {LARGEST} or less"
                raise BadRequest(f"loss.temperature={temperature}: {what}")
            self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
            self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        t = self.log_temperature.exp() if self.learnable else self.temperature
        return siglip(a, b, temperature=t, bias=self.bias)

    @torch.no_grad()
    def bound(self) -> None:
        """Keep what is learnt within its bound, after a step."""
        if self.learnable:
            self.log_temperature.clamp_(max=math.log(LARGEST))

    def learnt(self) -> dict[str, Tensor]:
        """What a run logs of it."""
        if not self.learnable:
            return {}
        assert isinstance(self.bias, Tensor)
        return {"temperature": self.log_temperature.detach().exp(), "bias": self.bias.detach()}
