"""No encoder: the features are the flattened inputs, so that a linear head is a linear model.

Shapes: [N, *shape] -> [N, F], F the product of `shape`.
"""

from __future__ import annotations

import math

from torch import nn

from ppr.registry import component


@component("model", inputs=("image", "vector"), features="sample")
class Identity(nn.Flatten):
    features: int

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.features = math.prod(shape)
