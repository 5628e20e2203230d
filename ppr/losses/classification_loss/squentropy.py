"""Squentropy: cross-entropy plus the mean squared logit of the wrong classes.

Paper: Hui, Belkin, Wright, "Cut your Losses with Squentropy", ICML 2023, arXiv:2302.03952. With
logits f of C classes,

    L = -log softmax(f)_y + 1/(C - 1) sum_{j != y} f_j^2

which has nothing to tune. Equal to loss_type `mixed` in main.py of
Like-Hui/Squentropy-for-classification at 2e92c90, also of one class, where the sum is empty.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities, in which it is linear. Half
precision is computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ppr.losses._batch import widen
from ppr.losses._classwise import total
from ppr.registry import component


@component("loss", family="classification")
class SquentropyLoss(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = widen(logits)
        shares = target if target.is_floating_point() else F.one_hot(target, logits.shape[1])
        shares = shares.to(logits.dtype)
        cross_entropy = -(shares * logits.log_softmax(1)).sum(1)
        squares = ((1 - shares) * logits.square()).sum(1)
        return total(cross_entropy + squares / max(1, logits.shape[1] - 1), target, "sample")
