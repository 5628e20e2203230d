"""Cosine classifier: the cosine of the features with each class's weights, without a bias.

    logits_k = <w_k, h> / (|w_k| |h|)        in [-1, 1]; the loss multiplies them by its scale

As NormedLinear in models/resnet_cifar.py of kaidic/LDAM-DRW; weights start as directions drawn
uniformly. Shapes: [N, F] -> [N, classes].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ppr.registry import component


@component("head", outputs="classes")
class CosineHead(nn.Module):
    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.randn(classes, features)))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.normalize(features), F.normalize(self.weight))
