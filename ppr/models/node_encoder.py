"""A graph convolutional network with its graph: numbers of nodes in, their features out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.graphs.bounds import TwoLayers
from ppr.graphs.graph import Graph, normalised, with_loops
from ppr.models.gcn import GCN

SPARSE = 0.1
"""Features with a smaller share of nonzero entries are kept as a sparse matrix."""


class NodeEncoder(nn.Module):
    """`features` [N, F] and the `pattern` of edges and loops [2, P] go with the module's device.

    They are not in its state: a checkpoint holds weights, and the data set the graph.
    """

    features: Tensor
    pattern: Tensor

    def __init__(self, model: GCN, graph: Graph) -> None:
        super().__init__()
        self.model = model
        self.nodes, self.width = graph.features.shape
        dense = graph.features
        share = dense.count_nonzero().item() / max(1, dense.numel())
        kept = dense.to_sparse().coalesce() if share < SPARSE else dense
        self.register_buffer("features", kept, persistent=False)
        self.register_buffer("pattern", with_loops(graph.edges, self.nodes), persistent=False)

    def forward(self, nodes: Tensor) -> Tensor:
        """Features [B, F] of the nodes [B, 1] in the whole graph."""
        with self.full_precision():
            found: Tensor = self.model(self.features, self.adjacency())
        return found[nodes.flatten()]

    def view(self, kept: Tensor, shown: Tensor) -> Tensor:
        """Features [N, F] of all nodes, with the entries [P] and the inputs' features [F] shown."""
        with self.full_precision():
            found: Tensor = self.model(self.features, self.adjacency(kept), shown)
        return found

    def full_precision(self) -> torch.autocast:
        """Autocast off: there are no sparse products in half precision."""
        return torch.autocast(self.pattern.device.type, enabled=False)

    def adjacency(self, kept: Tensor | None = None) -> Tensor:
        """The normalised adjacency of the view that keeps these entries [P]; of all of them."""
        if kept is None:
            kept = torch.ones(self.pattern.shape[1], device=self.pattern.device)
        return normalised(self.pattern, kept.to(self.features.dtype), self.nodes)

    def two_layers(self) -> TwoLayers:
        """The weights, as bounds of a network of two layers take them.

        Raises:
            BadRequest: it has another number of layers.
        """
        model = self.model
        if len(model.weights) != 2:
            raise BadRequest(
                f"model.hidden: bounds are for two layers, as in [256, 128]; not "
                f"{len(model.weights)}"
            )
        slope = model.activation.weight.item() if isinstance(model.activation, nn.PReLU) else 0.0
        first, second = model.weights
        return TwoLayers(self.features @ first, model.biases[0], second, model.biases[1], slope)
