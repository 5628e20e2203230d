"""Multi-layer perceptron: flattens its input; every layer is linear, [batch norm,] activation.

    h_0 = flatten(x),    h_l = activation(norm(W_l h_{l-1} + b_l)),    l = 1 .. len(hidden)

The last hidden layer is the features, so a linear head on top makes the usual classifier with
`len(hidden)` hidden layers. Shapes: [N, *shape] -> [N, hidden[-1]].
"""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


@component("model", inputs=("image", "vector"), features="sample")
class MLP(nn.Sequential):
    """
    Raises:
        BadRequest: `hidden` is empty.
    """

    features: int

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: list[Count],
        activation: Literal["relu", "gelu", "silu", "tanh"] = "relu",
        batch_norm: bool = False,
    ) -> None:
        if not hidden:
            raise BadRequest("model.hidden=[]: must have at least one width, as in [512, 512]")
        super().__init__(nn.Flatten())
        width = math.prod(shape)
        for wider in hidden:
            # A bias before batch norm is cancelled by its mean.
            self.append(nn.Linear(width, wider, bias=not batch_norm))
            if batch_norm:
                self.append(nn.BatchNorm1d(wider))
            self.append(ACTIVATIONS[activation]())
            width = wider
        self.features = width
