"""The equal-improvability disparity of Gaussian groups: samples against a closed form.

Guldogan et al., "Equal Improvability", ICLR 2023. Scores of group z are N(mean_z, std_z^2), one is
accepted above the threshold b, and effort moves a score by at most delta. Of the rejected,

    P(improvable | z) = P(x + delta >= b | x < b, z)
                      = 1 - Phi((b - delta - mean_z) / std_z) / Phi((b - mean_z) / std_z)

which is worked out here; efDisp in algorithms/dynamics.py of guldoganozgur/ei_fairness is the
difference of two groups' rates. The disparity is max_z |P_z - P|, P that of everybody, the groups
equally large. Measured on `samples` of each group by the evaluator's own function.

Metrics: `measured/rate_0`, `measured/rate_1`, `measured/disparity`, the same of `theory`, and
`error/largest`, the largest difference between the two.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.evaluators.fairness.group_fairness import disparity
from ppr.fields import Count, NonNegative
from ppr.registry import component
from ppr.studies.study import Study

MEANS, STDS = (0.0, 1.0), (1.0, 0.9)


@component("task")
class ImprovabilityRate(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        threshold: float = 1.0,
        effort: NonNegative = 0.6,
        samples: Count = 1_000_000,
    ) -> None:
        super().__init__(bench)
        self.threshold, self.effort, self.samples = threshold, effort, samples

    def measure(self) -> dict[str, dict[str, float]]:
        means, stds = (torch.tensor(x, dtype=torch.float64)[:, None] for x in (MEANS, STDS))
        random = generator(torch.device("cpu"), self.bench.seed, "improvability")
        x = means + stds * torch.randn(2, self.samples, generator=random, dtype=torch.float64)
        rejected = x < self.threshold
        reached = rejected & (x + self.effort >= self.threshold)
        group = torch.arange(2)[:, None].expand_as(x)
        rates = reached.sum(1) / rejected.sum(1)
        gap = disparity(reached.flatten(), rejected.flatten(), group.flatten())
        measured = _named(rates, gap)
        below = torch.special.ndtr((self.threshold - means) / stds)[:, 0]
        short = torch.special.ndtr((self.threshold - self.effort - means) / stds)[:, 0]
        overall = 1 - short.sum() / below.sum()
        exact = 1 - short / below
        theory = _named(exact, float((exact - overall).abs().max()))
        largest = max(abs(measured[key] - theory[key]) for key in theory)
        return {"measured": measured, "theory": theory, "error": {"largest": largest}}


def _named(rates: Tensor, gap: float) -> dict[str, float]:
    return {"rate_0": float(rates[0]), "rate_1": float(rates[1]), "disparity": gap}
