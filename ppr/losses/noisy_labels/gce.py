"""Generalised cross-entropy, GCE: between cross-entropy (q -> 0) and mean absolute error (q = 1).

Paper: Zhang, Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
Labels", NeurIPS 2018, arXiv:1805.07836.

    L_q(f(x), y) = (1 - p_y^q) / q

Formula and q = 0.7 compared with GeneralizedCrossEntropy in loss.py of
HanxunH/Active-Passive-Losses at 04bce53; that clips p at 1e-7 where this is exact.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities. Half precision is computed in
float32. An empty batch gives 0 with a gradient of 0.

Raises BadRequest for q = 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Fraction
from ppr.losses._classwise import log_probabilities, of_target, total
from ppr.registry import component


@component("loss", family="classification")
class GCELoss(nn.Module):
    def __init__(self, *, q: Fraction = 0.7) -> None:
        super().__init__()
        if q == 0:
            raise BadRequest("loss.q=0: must be greater than 0; its limit is loss=cross_entropy")
        self.q = q

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = of_target(self._of_class, log_probabilities(logits), target)
        return total(losses, target, "sample")

    def _of_class(self, log_p: Tensor) -> Tensor:
        return -torch.expm1(self.q * log_p) / self.q
