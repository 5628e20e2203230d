"""What a two-layer GCN can become when a view drops edges within a budget: bounds, and POT's score.

Yu, Wang, Zhang, Liu and Shi, "Provable Training for Graph Contrastive Learning" (POT), NeurIPS
2023, arXiv:2309.13944. With w_i the direction of node i, from the other, fixed view z' (unit rows),

    w_i = z'_i - mean_{j != i} z'_j,    margin_i(A) = w_i . z_i(A)
    z(A) = s(A s(A X W1 + b1) W2 + b2)

a node is compact where its margin is positive for every A that its budget allows, which is implied
by a positive lower bound. Of a view that drops at most k_i edges into node i, every entry is within

    0 <= A_ij <= 1 / sqrt((d_i - k_i)(d_j - k_j)),    1/d_i <= A_ii <= 1 / (d_i - k_i)

(`entry_bounds`), d with loops. s is a ReLU, or leaky with `slope`; between l and u, l < 0 < u, it
lies below the chord r (p - l) + slope l, r = (u - slope l) / (u - l), and above any line t p with
slope <= t <= 1.

`published_score` is what the authors' code trains: no bound, see there. `margin_bound` is one: for
each target node i its own linear bounds of s (Zhang et al., "Efficient Neural Network Robustness
Certification with General Activation Functions" (CROWN), NeurIPS 2018, arXiv:1811.00866) at i and
at every neighbour, over the least that all A within the entries allow.

Read in GRACE/model.py (pot_loss) and GRACE/my_utils.py of VoidHaruhi/POT-GCL at 19a3a5f.

Shapes: pattern [2, P] with loops, in the order of rows; inputs x1 = X W1 [N, H]; directions [N, D].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.graphs.graph import budget, degrees, matrix

PAIRS_AT_ONCE = 2**22


class TwoLayers(NamedTuple):
    """x1 = X W1 [N, H], b1 [H], w2 [H, D], b2 [D], and the slope of the activation below 0."""

    x1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    slope: float = 0.0

    def act(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)


class Entries(NamedTuple):
    """Least and largest values [P] of the normalised adjacency on its pattern."""

    pattern: Tensor
    lower: Tensor
    upper: Tensor


def entry_bounds(pattern: Tensor, rate: float, nodes: int, like: Tensor) -> Entries:
    """The entries of all views that drop at most `budget` edges into each node, in like's type."""
    full = degrees(pattern, torch.ones_like(pattern[0], dtype=like.dtype), nodes)
    least = (full - budget(pattern, rate, nodes).to(full)).rsqrt()
    upper = least[pattern[0]] * least[pattern[1]]
    loop = pattern[0] == pattern[1]
    lower = torch.where(loop, 1 / full[pattern[0]], 0)
    return Entries(pattern, lower, upper)


def directions(other: Tensor) -> Tensor:
    """w [N, D] from the other view's embeddings: its own unit row less the mean of all others."""
    z = F.normalize(other)
    return z - (z.sum(0) - z) / (len(z) - 1)


def mixed(entries: Entries, values: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest A v of all A of the entries, exactly, for known v [N, H]."""
    pattern, lower, upper = entries
    centre, reach = (matrix(pattern, x / 2, len(values)) for x in (upper + lower, upper - lower))
    middle, radius = torch.sparse.mm(centre, values), torch.sparse.mm(reach, values.abs())
    return middle - radius, middle + radius


def mixed_interval(entries: Entries, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """The same for v between two bounds: A is nowhere negative, so each end has its own v."""
    small, large = (matrix(entries.pattern, x, len(lower)) for x in entries[1:])
    below = torch.sparse.mm(small, F.relu(lower)) - torch.sparse.mm(large, F.relu(-lower))
    above = torch.sparse.mm(large, F.relu(upper)) - torch.sparse.mm(small, F.relu(-upper))
    return below, above


def shifted(bounds: tuple[Tensor, Tensor], by: Tensor) -> tuple[Tensor, Tensor]:
    return bounds[0] + by, bounds[1] + by


def chord(lower: Tensor, upper: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Slope and offset of the line above the activation between two pre-activation bounds."""
    at_lower, wide = F.leaky_relu(lower, slope), upper > lower
    rise = (F.leaky_relu(upper, slope) - at_lower) / (upper - lower).where(wide, 1)
    line = rise.where(wide, (lower > 0).to(lower) * (1 - slope) + slope)
    return line, at_lower - line * lower


def published_score(
    layers: TwoLayers, entries: Entries, clean: Tensor, view: Tensor, wanted: Tensor
) -> Tensor:
    """POT's node compactness [N] as the authors' code computes it: a surrogate, not a lower bound.

    `clean` and `view` are the whole graph's and the sampled view's adjacency, `wanted` the
    directions [N, D]. It is no bound, because at a neighbour j it uses the linear bounds for w_j,
    where w_i is what is bounded; because the second layer's pre-activations are bounded at the
    clean hidden layer; and because it is taken at the sampled view, not at the worst.
    """
    x1, b1, w2, b2, slope = layers
    hidden = layers.act(torch.sparse.mm(clean, x1) + b1)
    line1, offset1 = chord(*shifted(mixed(entries, x1), b1), slope)
    line2, offset2 = chord(*shifted(mixed(entries, hidden @ w2), b2), slope)
    # The line below is the chord moved to 0; that above counts where the factor is negative.
    through2 = line2 * wanted
    constant2 = (through2 * b2 + offset2 * wanted.clamp(max=0)).sum(1, keepdim=True)
    back = through2 @ w2.T
    through1 = line1 * back
    constant1 = (through1 * b1 + offset1 * back.clamp(max=0)).sum(1, keepdim=True)
    inner = torch.sparse.mm(view, (x1 * through1).sum(1, keepdim=True)) + constant1
    score: Tensor = (torch.sparse.mm(view, inner) + constant2).squeeze(1)
    return score


def margin_bound(layers: TwoLayers, entries: Entries, wanted: Tensor) -> Tensor:
    """A lower bound [N] of w_i . z_i(A) over all A of the entries.

    Layer by layer from the output: of s(p2) its lines; then, for each neighbour j of i, of v . h_j
    with v = W2 (lines * w_i) the better of its lines in p1_j, taken to the least that row j of A
    allows, and of the interval of h_j; then the least that row i allows.
    """
    x1, b1, w2, b2, slope = layers
    nodes = len(x1)
    l1, u1 = shifted(mixed(entries, x1), b1)
    middle, radius = (layers.act(u1) + layers.act(l1)) / 2, (layers.act(u1) - layers.act(l1)) / 2
    centre, reach = middle @ w2, radius @ w2.abs()
    l2, u2 = shifted(mixed_interval(entries, centre - reach, centre + reach), b2)

    through2, constant2 = _below(l2, u2, slope, wanted)
    constant2 = constant2 + (through2 * b2).sum(1)
    target, neighbour = entries.pattern
    small, large = (matrix(entries.pattern, v, nodes).to_dense() for v in entries[1:])
    values = []
    every = torch.arange(len(target), device=target.device)
    for rows in torch.split(every, PAIRS_AT_ONCE // nodes + 1):
        j = neighbour[rows]
        back = (through2 @ w2.T)[target[rows]]
        through1, constant1 = _below(l1[j], u1[j], slope, back)
        reaching = through1 @ x1.T
        by_lines = (small[j] * F.relu(reaching) - large[j] * F.relu(-reaching)).sum(1)
        by_lines = by_lines + constant1 + (through1 * b1).sum(1)
        by_interval = (back * middle[j]).sum(1) - (back.abs() * radius[j]).sum(1)
        values.append(torch.maximum(by_lines, by_interval))
    least = torch.cat(values)
    least = entries.lower * F.relu(least) - entries.upper * F.relu(-least)
    return constant2.index_add(0, target, least)


def _below(lower: Tensor, upper: Tensor, slope: float, factor: Tensor) -> tuple[Tensor, Tensor]:
    """factor . s(p) >= through . p + constant for p between the bounds: [M, H] and [M].

    Below s lies the line of slope 1, or `slope`, whichever leaves less between (CROWN's choice).
    """
    line, offset = chord(lower, upper, slope)
    under = torch.where(upper >= -lower, 1.0, slope).to(line)
    through = torch.where(factor >= 0, under, line) * factor
    return through, (offset * factor.clamp(max=0)).sum(1)
