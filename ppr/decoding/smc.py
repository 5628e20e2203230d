"""Sequential Monte Carlo over texts: particles grow by a token, are weighted, and are resampled.

A step draws each particle's next token under the constraint and multiplies its weight by an
unbiased estimate of the mass of allowed tokens: that mass itself where all tokens are masked, else
AWRS's weight. Particles are resampled (systematically) when the effective sample size falls below
half of them. Several runs go side by side, [runs x particles, T].
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ppr.decoding.awrs import awrs
from ppr.decoding.language import Constraint, LanguageModel, allowed_mass

Sampler = Literal["mask", "awrs"]


def step(
    model: LanguageModel,
    constraint: Constraint,
    prefixes: Tensor,
    sampler: Sampler,
    random: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The next tokens [N] and their weights [N]; token 0, the end, where there is none."""
    if sampler == "mask":
        mass = allowed_mass(model, constraint, prefixes)
        total = mass.sum(1)
        # Where nothing is allowed any token will do: its weight is 0.
        tokens = torch.where(total[:, None] > 0, mass, 1.0).multinomial(1, generator=random)[:, 0]
        return tokens, total
    drawn = awrs(model(prefixes), lambda rows, tokens: constraint(prefixes[rows], tokens), random)
    return drawn.tokens.clamp(min=0), drawn.weights


def systematic(weights: Tensor, random: torch.Generator) -> Tensor:
    """Ancestors [R, N] of particles with weights [R, N]: evenly spaced picks, one shift a run."""
    R, N = weights.shape
    shift = torch.rand(R, 1, generator=random, dtype=weights.dtype, device=weights.device)
    places = (torch.arange(N, device=weights.device) + shift) / N
    edges = (weights / weights.sum(1, keepdim=True)).cumsum(1)
    return torch.searchsorted(edges, places).clamp(max=N - 1)


def sample(
    model: LanguageModel,
    constraint: Constraint,
    length: int,
    sampler: Sampler,
    random: torch.Generator,
    *,
    runs: int,
    particles: int,
) -> tuple[Tensor, Tensor]:
    """Texts [runs, particles, length] and weights [runs, particles] that add up to 1 in a run."""
    prefixes = torch.zeros(runs * particles, 0, dtype=torch.int64, device=random.device)
    weights = torch.ones(runs, particles, dtype=torch.float64, device=random.device)
    for _ in range(length):
        tokens, factor = step(model, constraint, prefixes, sampler, random)
        prefixes = torch.cat([prefixes, tokens[:, None]], dim=1)
        weights = weights * factor.view(runs, particles)
        total = weights.sum(1, keepdim=True)
        # A run all of whose particles are lost keeps them, with equal weights.
        weights = torch.where(total > 0, weights / total, 1 / particles)
        poor = 1 / weights.square().sum(1) < particles / 2
        ancestors = systematic(weights, random)
        ancestors = torch.where(poor[:, None], ancestors, torch.arange(particles).to(ancestors))
        weights = torch.where(poor[:, None], 1 / particles, weights)
        start = torch.arange(runs, device=ancestors.device)[:, None] * particles
        prefixes = prefixes[(ancestors + start).flatten()]
    return prefixes.view(runs, particles, length), weights
