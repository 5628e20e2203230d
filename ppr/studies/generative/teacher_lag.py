"""Consistency training with a teacher that lags behind: its gradient on one data point.

Song, Dhariwal, "Improved Techniques for Training Consistency Models", arXiv:2310.14189, which finds
this flaw of averaged teachers. All data are the point xi, and f_w(x, s) = (s_1/s) x + (1 - s_1/s) w
is right at every level for w = xi. With squared distances and the teacher f_v,

    L_N(w, v) = E_i 1/(s_{i+1} - s_i) | f_w(xi + s_{i+1} z, s_{i+1}) - f_v(xi + s_i z, s_i) |^2

z cancels, so a sum over i is exact. As N grows, the gradient in w tends for v = w to

    2 E[ s_1/s^2 (1 - s_1/s) ] (w - xi) = 2 s_1 (E[s^-2] - s_1 E[s^-3]) (w - xi)

and for v != w it grows like N. The moments are those of a log-normal level cut at s_1 and s_N, or
of one whose s^(1/rho) is uniform (i uniform), in closed form. Levels, laws and distance are those
of the loss `consistency` with its defaults, gradients are autograd's. Float64, nothing is random.

Metrics: `same/error`, of the gradient for v = w at N = `points`, relative to the limit;
`lagged/least` and `lagged/most`, the ratio of the gradients of 2N and N for v = w + `lag`, N from
`first` on, doubled `doublings` times; `same/most`, the largest such ratio for v = w.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from scipy.special import ndtr
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.fields import Count
from ppr.losses.generative.consistency import distances, karras_grid, lognormal_law, uniform_law
from ppr.registry import component
from ppr.studies.study import Study

LOW, HIGH, RHO = 0.002, 80.0, 7.0
MEAN, STD = -1.1, 2.0


@component("task")
class TeacherLag(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        noise: Literal["lognormal", "uniform"] = "lognormal",
        w: float = 1.3,
        xi: float = 0.2,
        lag: float = -0.1,
        points: Count = 10_000,
        first: Count = 1000,
        doublings: Count = 4,
    ) -> None:
        super().__init__(bench)
        self.noise: Literal["lognormal", "uniform"] = noise
        self.w, self.xi, self.lag = w, xi, lag
        self.points, self.first, self.doublings = points, first, doublings

    def measure(self) -> dict[str, dict[str, float]]:
        second, third = (moment(self.noise, power) for power in (2, 3))
        limit = 2 * LOW * (second - LOW * third) * (self.w - self.xi)
        error = abs(self.gradient(self.points, 0.0) / limit - 1)
        same, lagged = self.ratios(0.0), self.ratios(self.lag)
        return {
            "same": {"error": error, "most": max(same)},
            "lagged": {"least": min(lagged), "most": max(lagged)},
        }

    def ratios(self, lag: float) -> list[float]:
        sizes = [self.first * 2**k for k in range(self.doublings + 1)]
        return [b / a for a, b in pairwise(self.gradient(points, lag) for points in sizes)]

    def gradient(self, points: int, lag: float) -> float:
        """dL_N/dw at v = w + lag."""
        s = karras_grid(points, LOW, HIGH, RHO)
        law = lognormal_law(s, MEAN, STD) if self.noise == "lognormal" else uniform_law(s)
        w = torch.tensor(self.w, dtype=torch.float64, requires_grad=True)
        z = 1.0

        def f(weight: Tensor, level: Tensor) -> Tensor:
            kept = LOW / level
            return (kept * (self.xi + level * z) + (1 - kept) * weight)[:, None]

        each = distances(f(w, s[1:]), f(w.detach() + lag, s[:-1]), "squared_l2") / s.diff()
        (slope,) = torch.autograd.grad((law * each).sum(), w)
        return slope.item()


def moment(noise: str, power: int) -> float:
    """E[s^-power] of a level in [LOW, HIGH]."""
    if noise == "uniform":
        a, b = LOW ** (1 / RHO), HIGH ** (1 / RHO)
        rest = 1 - RHO * power
        return float((b**rest - a**rest) / (rest * (b - a)))
    ends = [(math.log(s) - MEAN) / STD for s in (LOW, HIGH)]
    share, tilted = (
        float(ndtr(ends[1] + shift) - ndtr(ends[0] + shift)) for shift in (0.0, power * STD)
    )
    return math.exp(-power * MEAN + (power * STD) ** 2 / 2) * tilted / share
