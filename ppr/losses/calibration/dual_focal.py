"""Dual focal loss: the focal loss whose weight also knows the class next below the true one.

Paper: Tao, Dong, Xu, "Dual Focal Loss for Calibration", ICML 2023, arXiv:2305.13665. With p_y the
probability of the true class and p_j the largest probability that is strictly less, 0 if none is,

    L = -(1 - p_y + p_j)^gamma log p_y

gamma = 0 is cross-entropy; where the true class has the least probability it is the focal loss.
p_j has its gradient. Compared with dual_focal_loss.py of Linwei94/ICML2023-DualFocalLoss at
106f26b, which sums over the batch where this takes the mean. The default gamma is that of its
README for ResNet-50 on CIFAR-10 and CIFAR-100.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities (which need [N, C, C] numbers).
In nats. Half precision is computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.fields import NonNegative
from ppr.losses._classwise import complement, log_probabilities, total
from ppr.registry import component


@component("loss", family="classification")
class DualFocalLoss(nn.Module):
    def __init__(self, *, gamma: NonNegative = 5.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = log_probabilities(logits)
        if target.is_floating_point():
            losses = (self._of_classes(log_p, log_p) * target.to(log_p.dtype)).sum(1)
        else:
            losses = self._of_classes(log_p, log_p.gather(1, target.unsqueeze(1))).squeeze(1)
        return total(losses, target, "sample")

    def _of_classes(self, log_p: Tensor, log_own: Tensor) -> Tensor:
        """The loss [N, K] if a class with log-probability `log_own` [N, K] is the true one."""
        p = log_p.exp().unsqueeze(1)
        below = torch.where(log_p.unsqueeze(1) < log_own.unsqueeze(2), p, 0.0).amax(2)
        return -(complement(log_own) + below).pow(self.gamma) * log_own
