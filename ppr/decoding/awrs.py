"""Adaptive weighted rejection sampling: a token under a constraint, with an unbiased weight.

"Fast Controlled Generation from Language Models with Adaptive Weighted Rejection Sampling", 2025,
arXiv:2504.05410, in the form of the authors' experiments (genlm/awrs-colm-2025,
experiments/sampler.py). Tokens are drawn from p without replacement, in the order of log p plus
Gumbel noise, until the constraint accepts one: that is the token. A second such loop follows, in
which what has been rejected stays away and the token does not. With R1 the tokens rejected in the
first loop and n the number rejected in both,

    w = (1 - p(R1)) / (n + 1),    E[w] = Z = sum of p over valid tokens

By the exponential race that the Gumbel order is, an invalid token i is rejected in the first loop
with probability p_i / (p_i + Z), in the second with Z p_i / (p_i + Z)^2; so the constraint is
called, results being kept,

    2 - sum_{x valid} (p_x / Z)^2 + sum_{i invalid} [ p_i / (p_i + Z) + Z p_i / (p_i + Z)^2 ]

times on average (derived; the authors give no closed form in the code read).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Drawn:
    """Tokens [N], -1 where none is valid; their weights [N]; calls of the constraint [N]."""

    tokens: Tensor
    weights: Tensor
    calls: Tensor


def awrs(
    probabilities: Tensor, valid: Callable[[Tensor, Tensor], Tensor], random: torch.Generator
) -> Drawn:
    """One token for each row of probabilities [N, V]; `valid(rows, tokens)` is the constraint."""
    left = probabilities.clone()
    N = len(left)
    rejected = left.new_zeros(N)
    first, lost, before = _until_accepted(left, valid, random)
    rejected += before
    second, _, after = _until_accepted(left, valid, random)
    rejected += after
    found = first >= 0
    weights = torch.where(found, (1 - lost) / (rejected + 1), 0.0)
    calls = rejected + torch.where(found, 1 + (second != first).to(rejected), 0.0)
    return Drawn(first, weights, calls)


def _until_accepted(
    left: Tensor, valid: Callable[[Tensor, Tensor], Tensor], random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens accepted, the mass rejected and how many were; `left` loses the rejected."""
    N, V = left.shape
    uniform = torch.rand(left.shape, generator=random, dtype=left.dtype, device=left.device)
    keys = left.log() - (-uniform.log()).log()
    order = keys.argsort(dim=1, descending=True)
    accepted = torch.full((N,), -1, device=left.device)
    lost, count = left.new_zeros(N), left.new_zeros(N)
    rows = torch.arange(N, device=left.device)
    for rank in range(V):
        tokens = order[rows, rank]
        mass = left[rows, tokens]
        rows, tokens, mass = rows[mass > 0], tokens[mass > 0], mass[mass > 0]
        if not len(rows):
            break
        fine = valid(rows, tokens)
        accepted[rows[fine]] = tokens[fine]
        rows, tokens, mass = rows[~fine], tokens[~fine], mass[~fine]
        lost[rows] += mass
        count[rows] += 1
        left[rows, tokens] = 0
    return accepted, lost, count


def expected_calls(p: Tensor, valid: Tensor) -> float:
    """Of a law [V] and the tokens that are valid [V]."""
    Z, bad = p[valid].sum(), p[~valid]
    rejections = (bad / (bad + Z) + Z * bad / (bad + Z) ** 2).sum()
    return float(2 - (p[valid] / Z).square().sum() + rejections)
