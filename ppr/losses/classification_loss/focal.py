"""Focal loss: cross-entropy that fades for samples which are already classified well.

Paper: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002. With p_t
the probability of the true class,

    CE(p_t) = -log p_t                                                                          (1)
    CE(p_t) = -alpha_t log p_t                                                                  (3)
    FL(p_t) = -(1 - p_t)^gamma log p_t                                                          (4)
    FL(p_t) = -alpha_t (1 - p_t)^gamma log p_t                                                  (5)

Class 0 is the background: alpha_t is 1 - alpha there and alpha for every other class; without alpha
it is 1. The defaults, gamma = 2 and alpha = 0.25, are those of torchvision.ops.sigmoid_focal_loss.
gamma = 0 is the alpha-balanced cross-entropy (3).

p is the softmax of the logits. Of two classes that is the paper's sigmoid, of the difference of
the two logits; of more, it is the form of classifiers (FocalLoss in loss.py of
HanxunH/Active-Passive-Losses), where a detector has a sigmoid for each class.

`per` is what the sum over the batch is divided by: its samples, or its foreground samples (1 if it
has none), which is RetinaNet's normaliser (torchvision, RetinaNetClassificationHead.compute_loss).

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities. In nats. Half precision is
computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ppr.fields import Fraction, NonNegative
from ppr.losses._classwise import log_probabilities, of_target, total, with_gamma
from ppr.registry import component


@component("loss", family="classification")
class FocalLoss(nn.Module):
    def __init__(
        self,
        *,
        gamma: NonNegative = 2.0,
        alpha: Fraction | None = 0.25,
        per: Literal["sample", "foreground"] = "sample",
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
        self.per = per
        self.batch_wide = per == "foreground"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = log_probabilities(logits)
        weights = None
        if self.alpha is not None:
            weights = log_p.new_full((log_p.shape[1],), self.alpha)
            weights[0] = 1 - self.alpha
        losses = of_target(with_gamma(self.gamma), log_p, target, weights)
        return total(losses, target, self.per)
