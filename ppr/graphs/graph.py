"""A graph with features, its normalised adjacency, and random views that drop edges and features.

    A_ij = m_ij / sqrt(d_i d_j),  d_i = sum_j m_ij                      (Kipf and Welling, eq. 2)

over the pattern of all edges and a loop at each node, with m 1 where an edge is kept and 0 where a
view drops it; loops are always kept. A dropped edge stays in the pattern, so that every view of a
graph has the same shapes, which nothing has to read back from the device: torch_geometric's
`dropout_edge` makes a shorter list, and there is no other part of it that this would use.

Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017,
arXiv:1609.02907. Where a view has an edge one way only, d_i counts the edges into i, as
torch_geometric's gcn_norm does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Graph:
    """`features` [N, F]; `edges` [2, E] int64, (to, from), each both ways, no loops or doubles."""

    features: Tensor
    edges: Tensor

    def __len__(self) -> int:
        return len(self.features)


def undirected(ends: Tensor, nodes: int) -> Tensor:
    """Edges of a `Graph` from pairs of nodes [2, M] in any order: loops and doubles left out."""
    ends = ends[:, ends[0] != ends[1]]
    numbers = torch.cat([ends, ends.flip(0)], dim=1).mul(ends.new_tensor([[nodes], [1]])).sum(0)
    numbers = torch.unique(numbers)
    return torch.stack([numbers // nodes, numbers % nodes])


def with_loops(edges: Tensor, nodes: int) -> Tensor:
    """The pattern [2, P]: edges and a loop at each node, in the order of rows, then columns."""
    loops = torch.arange(nodes, device=edges.device).expand(2, -1)
    pattern = torch.cat([edges, loops], dim=1)
    return pattern[:, (pattern[0] * nodes + pattern[1]).argsort()]


def degrees(pattern: Tensor, kept: Tensor, nodes: int) -> Tensor:
    """Edges into each node [N], its loop counted, from the pattern and which of it is kept [P]."""
    return kept.new_zeros(nodes).index_add(0, pattern[0], kept)


def matrix(pattern: Tensor, values: Tensor, nodes: int) -> Tensor:
    """The sparse matrix [N, N] with these values on the pattern."""
    return torch.sparse_coo_tensor(
        pattern, values, (nodes, nodes), is_coalesced=True, check_invariants=False
    )


def normalised(pattern: Tensor, kept: Tensor, nodes: int) -> Tensor:
    """The sparse matrix A [N, N] of the view that keeps where `kept` [P], float, is 1."""
    scale = degrees(pattern, kept, nodes).rsqrt()
    return matrix(pattern, kept * scale[pattern[0]] * scale[pattern[1]], nodes)


def drop_edges(pattern: Tensor, rate: float, random: torch.Generator) -> Tensor:
    """`kept` [P] of a view that drops each edge, each way on its own, with probability `rate`."""
    chance = torch.rand(pattern.shape[1], generator=random, device=pattern.device)
    return ((chance >= rate) | (pattern[0] == pattern[1])).float()


def budget(pattern: Tensor, rate: float, nodes: int) -> Tensor:
    """How many edges into each node [N] a view may drop: round(rate d), and one is left."""
    edges = degrees(pattern, torch.ones(pattern.shape[1], device=pattern.device), nodes) - 1
    return torch.minimum((rate * edges).round(), (edges - 1).clamp(min=0))


def drop_within_budget(pattern: Tensor, rate: float, nodes: int, random: torch.Generator) -> Tensor:
    """`drop_edges`, but that a node keeps the edges it may not lose: a random choice of them."""
    dropped = drop_edges(pattern, rate, random) == 0
    # rank among the dropped edges into the same node, in a random order
    chance = torch.rand(pattern.shape[1], generator=random, device=pattern.device)
    order = chance.argsort()
    order = order[(pattern[0] * 2 + ~dropped)[order].argsort(stable=True)]
    first = torch.searchsorted(pattern[0][order], pattern[0][order])
    rank = torch.arange(len(order), device=order.device) - first
    allowed = rank < budget(pattern, rate, nodes)[pattern[0][order]]
    kept = torch.ones_like(dropped)
    kept[order] = ~(dropped[order] & allowed)
    return kept.float()
