"""Graph convolutional network: every layer mixes the features of neighbours, then is linear.

Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017,
arXiv:1609.02907, equation 2, with the activation behind the last layer too, as GRACE has it:

    h_0 = x,    h_l = activation(A h_{l-1} W_l + b_l),    l = 1 .. len(hidden)

A is the normalised adjacency with loops (ppr/graphs/graph.py). Without one every node is alone,
A = 1, and this is a perceptron. Weights begin as Glorot's, biases at 0 (torch_geometric's GCNConv).

Shapes: x [N, F] dense or sparse, A [N, N] sparse -> [N, hidden[-1]]. `shown` [F] is 0 for features
that a view hides. Raises BadRequest for inputs that are no vectors, or no layer.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component

ACTIVATIONS = {"relu": nn.ReLU, "prelu": nn.PReLU}


@component("model", inputs=("vector", "graph"), features="sample")
class GCN(nn.Module):
    features: int

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: list[Count],
        activation: Literal["relu", "prelu"] = "relu",
    ) -> None:
        super().__init__()
        if not hidden:
            raise BadRequest("model.hidden=[]: must have at least one width, as in [256, 128]")
        if len(shape) != 1:
            raise BadRequest(f"model.name=gcn: takes features [F], not inputs of {tuple(shape)}")
        self.features = hidden[-1]
        widths = [shape[0], *hidden]
        self.weights = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(a, b)) for a, b in zip(widths, hidden, strict=False)
        )
        self.biases = nn.ParameterList(torch.zeros(width) for width in hidden)
        self.activation = ACTIVATIONS[activation]()  # one for all layers, as GRACE has it

    def forward(
        self, x: Tensor, adjacency: Tensor | None = None, shown: Tensor | None = None
    ) -> Tensor:
        first, *others = self.weights
        if shown is not None:
            first = shown[:, None] * first  # as hiding columns of x, which may be sparse
        for weight, bias in zip((first, *others), self.biases, strict=True):
            x = x @ weight
            if adjacency is not None:
                x = torch.sparse.mm(adjacency, x)
            x = self.activation(x + bias)
        return x
