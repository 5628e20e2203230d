"""Masked weights: layers whose weight is a stored one times a mask, as tasks that prune use them.

A mask is a parametrization of the weight (torch.nn.utils.parametrize), so encoder and classifier
are the pruned network wherever they are called. The stored weight stays under
`<layer>.parametrizations.weight.original`, the mask under
`<layer>.parametrizations.weight.0.alive`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ppr.engine.seeding import generator


class Mask(nn.Module):
    """w * alive; with scores p in [0, 1] w * alive * round(p), the gradient going to p as is."""

    alive: Tensor

    def __init__(self, like: Tensor, *, scored: bool) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones_like(like, dtype=torch.bool))
        self.score = nn.Parameter(torch.rand_like(like)) if scored else None

    def forward(self, weight: Tensor) -> Tensor:
        kept = weight * self.alive
        if self.score is None:
            return kept
        rounded = (self.score > 0.5).to(weight.dtype)
        return kept * (rounded + self.score - self.score.detach())


class MaskedLayers:
    """The linear and convolutional layers of a network, their masks and their stored weights.

    Everything else in it (biases, scales and offsets of normalisation) stays as it is: it is
    frozen. Weights start at signed constants, +-sqrt(2 / fan in) (Ramanujan et al., "What's Hidden
    in a Randomly Weighted Neural Network?", 2020), which follow from `seed`.
    """

    def __init__(self, *networks: nn.Module, seed: int, scored: bool = False) -> None:
        for network in networks:
            network.requires_grad_(False)
        parts = [part for network in networks for part in network.modules()]
        self.layers: list[Any] = [p for p in parts if isinstance(p, nn.Linear | nn.Conv2d)]
        for number, layer in enumerate(self.layers):
            layer.weight.data = signed_constant(layer.weight, seed, number)
            layer.weight.requires_grad_(not scored)
            parametrize.register_parametrization(layer, "weight", Mask(layer.weight, scored=scored))

    @property
    def masks(self) -> list[Any]:
        return [layer.parametrizations.weight[0] for layer in self.layers]

    @property
    def weights(self) -> list[Tensor]:
        return [layer.parametrizations.weight.original for layer in self.layers]

    @property
    def total(self) -> int:
        return sum(weight.numel() for weight in self.weights)

    @property
    def kept(self) -> float:
        return sum(int(mask.alive.sum()) for mask in self.masks) / self.total

    @torch.no_grad()
    def keep(self, scores: list[Tensor], share: float) -> None:
        """Of the weights that are alive keep those of highest score, `share` of all weights."""
        ranked = torch.cat(
            [
                score.masked_fill(~mask.alive, -torch.inf).flatten()
                for score, mask in zip(scores, self.masks, strict=True)
            ]
        )
        alive = torch.zeros_like(ranked, dtype=torch.bool)
        alive[ranked.topk(round(share * self.total)).indices] = True
        sizes = [score.numel() for score in scores]
        for mask, part in zip(self.masks, torch.split(alive, sizes), strict=True):
            mask.alive &= part.view_as(mask.alive)


def signed_constant(weight: Tensor, seed: int, number: int, purpose: str = "signed") -> Tensor:
    """A random sign times sqrt(2 / fan in) for every weight of a layer."""
    random = generator(torch.device("cpu"), seed, purpose, number)
    signs = torch.randint(0, 2, weight.shape, generator=random) * 2 - 1
    fan_in = weight[0].numel()
    constants: Tensor = (signs * (2 / fan_in) ** 0.5).to(weight)
    return constants
