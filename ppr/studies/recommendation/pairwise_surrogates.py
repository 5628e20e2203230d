"""What PSL's theory says of exp, tanh, relu and atan as surrogates of the step in a ranking metric.

Yang et al., "PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for
Recommendation", NeurIPS 2024. For a surrogate s of the step 1[d >= 0], on gaps d in [-1, 1]:

    (4.2)        1[d >= 0] <= s(d) <= exp(d)
    lemma 4.1    (3.2) then gives  log |P_u| - log DCG(u) <= L_PSL(u) <= L_SL(u), sums over all j,
                 of means over the items i in P_u that user u chose, at the same temperature t
    (4.3)        a negative's gradient weighs s(d)^(1/t - 1) s'(d), 1 at d = 0; that of exp e^(d/t)
    (4.4)        E_Q log s(d) = t KL(Q || P) + t L_PSL, Q the negatives' weights s^(1/t), P uniform:
                 by weak duality the worst case over all Q within that KL of P, theorem 4.2

Losses and their gradients are those of ppr.losses, on float64 scores: gaps on a grid for (4.2) and
(4.3), at temperatures from 0.025 to 0.25; for the others, cosines drawn from U(-1, 1) with the
seed, of `users` users with `items` items of which `chosen` are chosen.

Metrics, by surrogate (`exp` is the softmax loss): `below`, the least of s(d) - 1[d >= 0]; `above`,
the greatest of s(d) - exp(d); `dcg`, the least of L - (log |P_u| - log DCG); `softmax`, the
greatest of L - L_SL; `duality`, the greatest difference of the two sides of (4.4); `weight`, that
of a gap of 1 at t = 0.2; `excess`, the greatest logarithm of a weight over exp's, over temperatures
and gaps above 0.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count
from ppr.losses.recommendation.psl import SURROGATES, PSLLoss
from ppr.losses.recommendation.softmax_ranking import SoftmaxRankingLoss
from ppr.registry import component
from ppr.studies.study import Study

TEMPERATURES = (0.025, 0.05, 0.1, 0.25)
SHOWN = 0.2
"""The temperature of the paper's figure 1b."""


@component("task")
class PairwiseSurrogates(Study):
    def __init__(
        self, bench: Bench, *, users: Count = 100, items: Count = 200, chosen: Count = 20
    ) -> None:
        super().__init__(bench)
        random = generator(bench.device, bench.seed, "surrogates")
        self.scores = 2 * torch.rand(users, items, generator=random, dtype=torch.float64) - 1
        self.chosen = chosen
        self.gaps = torch.linspace(-1, 1, 2001, dtype=torch.float64)
        self.gaps[1000] = 0  # exactly

    def measure(self) -> dict[str, dict[str, float]]:
        return {name: self._measured(name) for name in ("exp", *SURROGATES)}

    def _measured(self, name: str) -> dict[str, float]:
        d = self.gaps
        values = torch.exp(d) if name == "exp" else SURROGATES[name](d)
        higher = d[d > 0]
        excess = [weights(name, higher, t) - weights("exp", higher, t) for t in TEMPERATURES]
        bounds = [self._bounds(name, t) for t in TEMPERATURES]
        return {
            "below": (values - (d >= 0).double()).min().item(),
            "above": (values - torch.exp(d)).max().item(),
            "dcg": min(bound["dcg"] for bound in bounds),
            "softmax": max(bound["softmax"] for bound in bounds),
            "duality": max(bound["duality"] for bound in bounds),
            "weight": weights(name, d[-1:], SHOWN).exp().item(),
            "excess": torch.cat(excess).max().item(),
        }

    def _bounds(self, name: str, t: float) -> dict[str, float]:
        """Of each user's mean over its chosen items, the first `chosen` ones."""
        items = self.scores.shape[1]
        loss, softmax = build(name, t), build("exp", t)
        found: dict[str, list[float]] = {"dcg": [], "softmax": [], "duality": []}
        for scores in self.scores:
            positive = scores[: self.chosen]
            against = scores.expand(self.chosen, items)
            value = loss(positive, against).item() + math.log(items)  # sums over j
            ranks = (scores >= positive[:, None]).sum(1)
            discounted = (1 / (ranks + 1).double().log2()).sum().item()
            found["dcg"].append(value - math.log(self.chosen) + math.log(discounted))
            found["softmax"].append(value - softmax(positive, against).item() - math.log(items))
            found["duality"].append(duality(name, positive[:1], against[:1], t))
        return {
            "dcg": min(found["dcg"]),
            "softmax": max(found["softmax"]),
            "duality": max(found["duality"]),
        }


def build(name: str, t: float) -> Any:
    """A surrogate's loss at the temperature t of the paper, which is that of halved cosines."""
    if name == "exp":
        return SoftmaxRankingLoss(temperature=2 * t)
    return PSLLoss(surrogate=name, temperature=t)  # type: ignore[arg-type]


def weights(name: str, gaps: Tensor, t: float) -> Tensor:
    """log of a negative's gradient at each gap, relative to that of a gap of 0 in the same loss."""
    negative = torch.stack([2 * gaps, torch.zeros_like(gaps)], 1).requires_grad_()
    loss = build(name, t)(torch.zeros_like(gaps), negative)
    (gradient,) = torch.autograd.grad(loss, negative)
    return gradient[:, 0].log() - gradient[:, 1].log()


def duality(name: str, positive: Tensor, negative: Tensor, t: float) -> float:
    """|E_Q log s - t KL(Q || P) - t L| of one interaction with negatives [1, M]."""
    d = (negative - positive) / 2
    logs = d if name == "exp" else SURROGATES[name](d).log()
    log_q = (logs / t).log_softmax(1)
    divergence = (log_q.exp() * (log_q + math.log(negative.shape[1]))).sum()
    dual: Tensor = t * divergence + t * build(name, t)(positive, negative)
    return (dual - (log_q.exp() * logs).sum()).abs().item()
