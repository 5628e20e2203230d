"""Symmetric cross-entropy: cross-entropy and its reverse, which bounds what a wrong label costs.

Paper: Wang, Ma, Chen, Luo, Yi and Bailey, "Symmetric Cross Entropy for Robust Learning with Noisy
Labels", ICCV 2019, arXiv:1908.06112. With q the label's distribution and p the prediction,

    SL  = alpha CE + beta RCE
    CE  = -sum_k q_k log p_k
    RCE = -sum_k p_k log q_k = -A (1 - p_y)          log 0 is set to A < 0

Here -A is `-log(1e-4)`, what SCELoss of HanxunH/Active-Passive-Losses (loss.py at 04bce53) clips a
label at; its p is clipped at 1e-7 besides. Its weights: alpha 0.1, beta 1 on CIFAR-10 (the
default), alpha 6, beta 0.1 on CIFAR-100 (configs/cifar10, configs/cifar100).

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities, in which it is linear. In nats.
Half precision is computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.fields import NonNegative
from ppr.losses._classwise import complement, log_probabilities, of_target, total
from ppr.losses.noisy_labels.apl import PASSIVE_SCALE
from ppr.registry import component


@component("loss", family="classification")
class SymmetricCrossEntropyLoss(nn.Module):
    def __init__(self, *, alpha: NonNegative = 0.1, beta: NonNegative = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = of_target(self._of_class, log_probabilities(logits), target)
        return total(losses, target, "sample")

    def _of_class(self, log_p: Tensor) -> Tensor:
        return self.beta * PASSIVE_SCALE["rce"] * complement(log_p) - self.alpha * log_p
