"""Asymmetric loss of several labels a sample: easy negatives fade, and very easy ones are dropped.

Paper: Ben-Baruch et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021,
arXiv:2009.14119. A label has the probability p = sigmoid(z), and p_m = max(p - m, 0) shifted by the
`clip` m:

    L = - y (1 - p)^gamma_positive log p - (1 - y) p_m^gamma_negative log(1 - p_m)

summed over the labels and averaged over the samples. A negative with p <= m has no loss and no
gradient. gamma = clip = 0 is the binary cross-entropy; equal gammas without a clip are the focal
loss (configs/loss/binary_cross_entropy.yaml, binary_focal.yaml).

With `detach` the focusing weights are constants in the backward pass, which is another training
rule: at p = 0.55 the gradient of a negative is 0.031 where the formula's is 0.117. Formula compared
with src/loss_functions/losses.py of Alibaba-MIIL/ASL at 8c9e0bd, which sums over the batch and
clips logarithms at 1e-8 where this is exact. Defaults are those of its train.py, which detaches.

Shapes: logits [N, C]; target [N, C] of 0 and 1, or shares between. In nats. Half precision is
computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ppr.fields import Fraction, NonNegative
from ppr.losses._batch import widen
from ppr.registry import component


@component("loss", family="multi-label")
class AsymmetricLoss(nn.Module):
    def __init__(
        self,
        *,
        gamma_positive: NonNegative = 0.0,
        gamma_negative: NonNegative = 4.0,
        clip: Fraction = 0.05,
        detach: bool = True,
    ) -> None:
        super().__init__()
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.clip = clip
        self.detach = detach

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = widen(logits)
        target = target.to(logits.dtype)
        tiny = torch.finfo(logits.dtype).tiny
        # A power below 1 has an infinite slope at 0, which times a gradient of 0 is not a number.
        shifted = (logits.sigmoid() - self.clip).clamp(min=tiny)
        wrong = logsigmoid(-logits) if self.clip == 0 else (-shifted).log1p()
        positive = (-logits).sigmoid().clamp(min=tiny).pow(self.gamma_positive)
        negative = shifted.pow(self.gamma_negative)
        if self.detach:
            positive, negative = positive.detach(), negative.detach()
        losses = target * positive * logsigmoid(logits) + (1 - target) * negative * wrong
        return -losses.sum() / max(1, len(logits))
