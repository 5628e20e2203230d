"""Adaptive weighted rejection sampling of one token: its law, its weight, and what it costs.

The sampler is decoding/awrs.py, with the formula of the calls. A law p over `vocabulary` tokens,
Zipf's (1/rank) or `uniform`ly drawn, of which tokens of a total mass near `mass` are valid:

    random  tokens in random order until they have that mass
    tail    the least probable ones that have that mass: all that the model likes is refused

Metrics over `draws`: `measured/calls`, how often the constraint is called, against `theory/calls`;
`measured/weight`, the mean weight over the valid mass, against `theory/weight`, 1;
`measured/distance`, total variation of the tokens drawn and p given validity (for small
vocabularies), against `theory/distance`, what as many independent draws would give.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ppr.decoding.awrs import awrs, expected_calls
from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Fraction, Ge, Literal
from ppr.registry import component
from ppr.studies.study import Study

SMALL = 100
ROWS = 2_000_000
"""Keys that are drawn at once."""


@component("task")
class AWRSCalls(Study):
    """
    Raises:
        BadRequest: all of the mass is valid, or none.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        vocabulary: Annotated[int, Ge(2)] = 50_000,
        law: Literal["zipf", "uniform"] = "zipf",
        mass: Fraction = 0.5,
        valid: Literal["random", "tail"] = "random",
        draws: Count = 40,
    ) -> None:
        super().__init__(bench)
        if not 0 < mass < 1:
            raise BadRequest(f"task.mass={mass:g}: must lie between 0 and 1")
        self.vocabulary, self.law, self.mass = vocabulary, law, mass
        self.valid, self.draws = valid, draws

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(self.bench.device, self.bench.seed, "awrs")
        p = self._law(random)
        valid = self._valid(p, random)
        tokens, weights, calls = [], [], []
        rows = max(1, ROWS // self.vocabulary)
        for start in range(0, self.draws, rows):
            some = p.expand(min(rows, self.draws - start), -1)
            drawn = awrs(some, lambda _, chosen: valid[chosen], random)
            tokens.append(drawn.tokens)
            weights.append(drawn.weights)
            calls.append(drawn.calls)
        Z = p[valid].sum()
        measured = {
            "calls": torch.cat(calls).mean().item(),
            "weight": (torch.cat(weights).mean() / Z).item(),
        }
        theory = {"calls": expected_calls(p, valid), "weight": 1.0}
        if self.vocabulary <= SMALL:
            counts = torch.bincount(torch.cat(tokens), minlength=self.vocabulary)
            target = torch.where(valid, p, 0.0) / Z
            measured["distance"] = (counts / self.draws - target).abs().sum().item() / 2
            # Each share is near normal: E|e| = sqrt(2/pi) sd, half of the sum over tokens.
            spread = (target * (1 - target) / self.draws).sqrt().sum()
            theory["distance"] = (spread / math.sqrt(2 * math.pi)).item()
        return {"measured": measured, "theory": theory}

    def _law(self, random: torch.Generator) -> Tensor:
        ranks = torch.arange(1, self.vocabulary + 1, dtype=torch.float64, device=random.device)
        if self.law == "zipf":
            return (1 / ranks) / (1 / ranks).sum()
        drawn = -torch.rand(
            self.vocabulary, generator=random, dtype=ranks.dtype, device=random.device
        ).log()
        return drawn / drawn.sum()

    def _valid(self, p: Tensor, random: torch.Generator) -> Tensor:
        """At least the last token in the order is valid, at most all but the first."""
        order = p.argsort()
        if self.valid == "random":
            order = torch.randperm(self.vocabulary, generator=random, device=random.device)
        before = p[order].cumsum(0) - p[order]
        valid = torch.zeros_like(p, dtype=torch.bool)
        valid[order[:-1]] = (before < self.mass)[:-1]
        return valid
