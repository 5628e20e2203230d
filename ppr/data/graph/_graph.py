"""What data sets of one graph share: nodes are the samples, the graph is known to all splits.

A sample's input is its node's number, [n, 1] int64; `Dataset.extra["graph"]` has the features of
all nodes and their edges, as a `ppr.graphs.graph.Graph`, which graph tasks build their encoder on.
Nodes of no split are part of the graph all the same (transductive learning).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ppr.data.card import Card
    from ppr.data.dataset import Dataset
    from ppr.graphs.graph import Graph


def assemble_graph(
    card: Card, graph: Graph, labels: Tensor, parts: Mapping[str, Tensor]
) -> Dataset:
    """A `Dataset` of the nodes of `parts` (train, validation if any, test), labels [N] of all."""
    from ppr.data.dataset import Split, assemble, digest

    splits = {name: Split(nodes[:, None], labels[nodes]) for name, nodes in parts.items()}
    data = assemble(
        card, splits["train"], splits.get("validation"), splits["test"], {"graph": graph}
    )
    everything = {**splits, "graph": Split(graph.features, graph.edges)}
    return replace(data, digest=digest(everything))


def random_graph(card: Card, features: int, n: int, *, validation: bool, seed: int) -> Dataset:
    """What `synthetic` gives: a random graph with `n` nodes in each split, six edges to a node.

    The classes are as equal in number as `n` allows.
    """
    import torch

    from ppr.graphs.graph import Graph, undirected

    random = torch.Generator().manual_seed(seed)
    names = ["train", "validation", "test"] if validation else ["train", "test"]
    nodes = n * len(names)
    ends = torch.randint(0, nodes, (2, 3 * nodes), generator=random)
    graph = Graph(torch.randn(nodes, features, generator=random), undirected(ends, nodes))
    labels = torch.arange(n).repeat(len(names)) % len(card.classes)
    parts = dict(zip(names, torch.arange(nodes).view(-1, n), strict=True))
    return assemble_graph(card, graph, labels, parts)
