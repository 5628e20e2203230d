"""Square loss of a classifier's logits, rescaled for many classes.

Paper: Hui, Belkin, "Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in
Classification Tasks", ICLR 2021, arXiv:2006.07322. With logits f of C classes,

    L = 1/C ( weight (f_y - height)^2 + sum_{j != y} f_j^2 )

weight = height = 1 is the mean squared error to the one-hot target. `height` is the rescale_factor
of main.py in Like-Hui/Squentropy-for-classification at 2e92c90.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities, in which it is linear. Half
precision is computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ppr.fields import Positive
from ppr.losses._batch import widen
from ppr.losses._classwise import total
from ppr.registry import component


@component("loss", family="classification")
class SquareLoss(nn.Module):
    def __init__(self, *, weight: Positive = 1.0, height: Positive = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.height = height

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = widen(logits)
        shares = target if target.is_floating_point() else F.one_hot(target, logits.shape[1])
        shares = shares.to(logits.dtype)
        own = self.weight * (logits - self.height).square()
        return total((shares * own + (1 - shares) * logits.square()).mean(1), target, "sample")
