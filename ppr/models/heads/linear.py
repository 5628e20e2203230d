"""Linear classifier on top of the features: logits = W h + b.

Shapes: [N, F] -> [N, classes].
"""

from __future__ import annotations

from torch import nn

from ppr.registry import component


@component("head", outputs="classes")
class LinearHead(nn.Linear):
    def __init__(self, features: int, classes: int, *, bias: bool = True) -> None:
        super().__init__(features, classes, bias=bias)
