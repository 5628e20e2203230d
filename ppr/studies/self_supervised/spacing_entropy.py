"""The m-spacing entropy of E2MC: its bias, and what maximising it makes of points in a square.

Chakraborty et al., arXiv:2411.15931; the estimate H is that of losses/e2mc.py. Of n uniform samples
in [0, 1], whose entropy is 0, the spacing of m+1 neighbours is a Beta(m, n+1-m) variable, so that

    E H = psi(m) - log m + log(n+1) - psi(n+1)

exactly (but for the 1e-7), with psi the digamma function; measured: a mean over `draws`.

And `points` points in the unit square that begin in three clusters are moved, through the sigmoid,
up the gradient of H - 100 C. The n-m spacings add up to m at most, so that by Jensen's inequality
H <= log((n+1)/(n-m)): above 0, where uniform samples have less than 0. The optimum is clumps of m
points, evenly spaced, within about m/n of uniform.

Metrics: `measured/bias`, `theory/bias`; of the moved points `measured/entropy` and `theory/bound`;
`measured/ks`, the larger coordinate's Kolmogorov-Smirnov distance from uniform, and as a multiple
of m/n `measured/ks_windows`; `measured/covariance`, C.
"""

from __future__ import annotations

import math

import torch
from scipy.special import digamma
from scipy.stats import kstest
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Annotated, Count, Ge
from ppr.losses.self_supervised.e2mc import off_diagonal_covariance, spacing_entropy
from ppr.registry import component
from ppr.studies.study import Study

AT_ONCE = 100
COVARIANCE = 100.0
LEARNING_RATE = 0.05


@component("task")
class SpacingEntropy(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        samples: Annotated[int, Ge(4)] = 1000,
        draws: Count = 1000,
        points: Annotated[int, Ge(9)] = 512,
        steps: Count = 600,
    ) -> None:
        super().__init__(bench)
        self.samples, self.draws = samples, draws
        self.points, self.steps = points, steps

    def measure(self) -> dict[str, dict[str, float]]:
        n, m = self.samples, round(math.sqrt(self.samples))
        bias = digamma(m) - math.log(m) + math.log(n + 1) - digamma(n + 1)
        moved, window = self._moved(), round(math.sqrt(self.points))
        ks = max(kstest(x, "uniform").statistic for x in moved.T.cpu().numpy())
        return {
            "measured": {
                "bias": self._mean_estimate(),
                "entropy": spacing_entropy(moved).item(),
                "ks": float(ks),
                "ks_windows": float(ks) * self.points / window,
                "covariance": off_diagonal_covariance(moved).item(),
            },
            "theory": {
                "bias": float(bias),
                "bound": math.log((self.points + 1) / (self.points - window)),
            },
        }

    def _mean_estimate(self) -> float:
        """H of uniform samples, the mean of all draws; each draw is a batch of one coordinate."""
        random = generator(torch.device("cpu"), self.bench.seed, "uniform")
        parts = [min(AT_ONCE, self.draws - i) for i in range(0, self.draws, AT_ONCE)]
        estimates = [
            spacing_entropy(
                torch.rand(part, self.samples, 1, dtype=torch.float64, generator=random)
            )
            for part in parts
        ]
        return torch.cat(estimates).mean().item()

    def _moved(self) -> Tensor:
        """Points [n, 2] in the square after gradient ascent from three clusters."""
        random = generator(torch.device("cpu"), self.bench.seed, "clusters")
        centres = torch.randn(3, 2, dtype=torch.float64, generator=random)
        noise = torch.randn(self.points, 2, dtype=torch.float64, generator=random)
        start = centres[torch.arange(self.points) % 3] + 0.2 * noise
        z = start.to(self.bench.device).requires_grad_()
        climber = torch.optim.Adam([z], lr=LEARNING_RATE)
        for step in range(self.steps):
            climber.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / self.steps)
            u = z.sigmoid()
            loss = COVARIANCE * off_diagonal_covariance(u) - spacing_entropy(u)
            climber.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            climber.step()
        return z.detach().sigmoid()
