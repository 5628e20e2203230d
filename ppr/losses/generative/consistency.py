"""Consistency training: a network maps every noise level to the data, as its neighbour level does.

Paper: Song, Dhariwal, "Improved Techniques for Training Consistency Models", arXiv:2310.14189.
With data x, noise z, levels s_1 < .. < s_N and a network F,

    L = mean of lambda_i d( f(x + s_{i+1} z, s_{i+1}), f'(x + s_i z, s_i) )
    f(x, s) = c_skip(s) x + c_out(s) F(x / sqrt(s^2 + s_d^2), log(s) / 4)
    c_skip = s_d^2 / ((s - s_1)^2 + s_d^2),    c_out = s_d (s - s_1) / sqrt(s^2 + s_d^2)
    s_i = (s_min^(1/rho) + (i - 1)/(N - 1) (s_max^(1/rho) - s_min^(1/rho)))^rho
    lambda_i = 1 / (s_{i+1} - s_i)

f' has no gradient: it has the weights of f (`teacher_decay` null), or their moving average
(theta' <- decay theta' + (1 - decay) theta after each step), as consistency models first had. d is
one number a sample of D entries,

    pseudo_huber  sqrt(|a - b|^2 + c^2) - c,  c = huber sqrt(D)        squared_l2  |a - b|^2

`noise`: i is uniform, or p_i ~ erf(u_{i+1}) - erf(u_i), u_i = (log s_i - mean) / (sqrt(2) std).
N = min(s_0 2^floor(k / K'), s_1) + 1 at step k of K, with s_0 = `first_steps`, s_1 = `last_steps`
and K' = K / (log2 floor(s_1 / s_0) + 1), which the paper rounds down. If they are equal, N stays.

Formulas compared with consistency_models.py of LYMDLUT/improved_consistency_models_cifar10_pytorch
at 17cdebe (not the authors'), which has the pseudo-Huber distance of each entry, not of a sample.

Generative family: `levels` draws, `estimates` makes the prediction and its target with a network,
forward compares them, `sample` makes samples: by f(s_max z, s_max), and at each further level s by
noise of sqrt(s^2 - s_min^2) added and f(., s) again.

Shapes: prediction, target [N, *S]; levels [N, 2], s_i and s_{i+1}. Half precision is computed in
float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import BelowOne, Count, Positive
from ppr.losses._batch import widen
from ppr.registry import component

Network = Callable[[Tensor, Tensor], Tensor]
"""Scaled noisy samples [N, *S] and what stands for their level [N] -> [N, *S]."""


def karras_grid(points: int, low: float, high: float, rho: float) -> Tensor:
    """The levels s_1 .. s_N in float64, from low to high."""
    ends = low ** (1 / rho), high ** (1 / rho)
    return torch.linspace(*ends, points, dtype=torch.float64) ** rho


def lognormal_law(grid: Tensor, mean: float, std: float) -> Tensor:
    """The probabilities [N - 1] of i: those of [s_i, s_{i+1}] for a log-normal level."""
    return _normalised(torch.erf((grid.log() - mean) / (math.sqrt(2) * std)).diff())


def uniform_law(grid: Tensor) -> Tensor:
    return _normalised(torch.ones_like(grid[1:]))


def distances(
    prediction: Tensor, target: Tensor, kind: str = "pseudo_huber", huber: float = 0.00054
) -> Tensor:
    """d of every sample, [N]."""
    squares = (widen(prediction) - widen(target)).flatten(1).square()
    if kind == "squared_l2":
        return squares.sum(1)
    c = huber * math.sqrt(squares.shape[1])
    square = squares.sum(1)
    return square / ((square + c * c).sqrt() + c)  # without the difference of two near numbers


@component("loss", family="generative")
class ConsistencyLoss(nn.Module):
    """
    Raises:
        BadRequest: levels or steps that do not grow.
    """

    grid: Tensor
    law: Tensor

    def __init__(
        self,
        *,
        distance: Literal["pseudo_huber", "squared_l2"] = "pseudo_huber",
        huber: Positive = 0.00054,
        teacher_decay: BelowOne | None = None,
        noise: Literal["lognormal", "uniform"] = "lognormal",
        mean: float = -1.1,
        std: Positive = 2.0,
        first_steps: Count = 10,
        last_steps: Count = 1280,
        sigma_min: Positive = 0.002,
        sigma_max: Positive = 80.0,
        sigma_data: Positive = 0.5,
        rho: Positive = 7.0,
    ) -> None:
        super().__init__()
        if last_steps < first_steps:
            raise BadRequest(f"loss.last_steps={last_steps}: less than first_steps={first_steps}")
        if sigma_max <= sigma_min:
            raise BadRequest(f"loss.sigma_max={sigma_max}: not above sigma_min={sigma_min}")
        self.distance, self.huber, self.teacher_decay = distance, huber, teacher_decay
        self.noise, self.mean, self.std = noise, mean, std
        self.first_steps, self.last_steps = first_steps, last_steps
        self.sigma_min, self.sigma_max, self.sigma_data = sigma_min, sigma_max, sigma_data
        self.rho = rho
        self.teacher: nn.Module | None = None
        for name in ("grid", "law"):
            self.register_buffer(name, torch.empty(0), persistent=False)
        self.steps = 0
        self.advance(0.0)

    def begin(self, network: nn.Module) -> None:
        """Take the network's first weights as the moving average, where the teacher is one."""
        if self.teacher_decay is not None:
            self.teacher = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def after_step(self, network: nn.Module) -> None:
        """Let the teacher follow the network, whose weights have moved."""
        if self.teacher is not None and self.teacher_decay is not None:
            own: list[Tensor] = list(self.teacher.parameters())
            new: list[Tensor] = list(network.parameters())
            torch._foreach_lerp_(own, new, 1 - self.teacher_decay)

    def advance(self, done: float) -> None:
        """Lay out the levels as finely as at this share of training."""
        stages = math.log2(self.last_steps // self.first_steps) + 1
        doublings = math.floor(done * stages)
        steps = min(self.first_steps * 2**doublings, self.last_steps)
        if steps != self.steps:
            self.steps = steps
            grid = karras_grid(steps + 1, self.sigma_min, self.sigma_max, self.rho)
            lognormal = self.noise == "lognormal"
            law = lognormal_law(grid, self.mean, self.std) if lognormal else uniform_law(grid)
            self.grid, self.law = grid.to(self.grid), law.to(self.law)

    def levels(self, count: int, generator: torch.Generator) -> Tensor:
        """Neighbouring levels s_i, s_{i+1} for each of `count` samples, [count, 2]."""
        i = torch.multinomial(self.law, count, replacement=True, generator=generator)
        return torch.stack([self.grid[i], self.grid[i + 1]], dim=1)

    def denoise(self, network: Network, noisy: Tensor, level: Tensor) -> Tensor:
        """f(noisy [N, *S], level [N]), which is `noisy` itself at the lowest level."""
        s = level.view(-1, *(1,) * (noisy.dim() - 1))
        own, low = self.sigma_data, self.sigma_min
        spread = (s.square() + own**2).sqrt()
        skip = own**2 / ((s - low).square() + own**2)
        out = own * (s - low) / spread
        return skip * noisy + out * network(noisy / spread, level.log() / 4)

    def estimates(
        self, network: Network, samples: Tensor, noise: Tensor, levels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The prediction at the upper level of each sample, the teacher's at the lower."""
        lower, upper = levels.unbind(1)

        def noisy(level: Tensor) -> Tensor:
            return samples + level.view(-1, *(1,) * (samples.dim() - 1)) * noise

        with torch.no_grad():
            target = self.denoise(self.teacher or network, noisy(lower), lower)
        return self.denoise(network, noisy(upper), upper), target

    def forward(self, prediction: Tensor, target: Tensor, levels: Tensor) -> Tensor:
        lower, upper = widen(levels).unbind(1)
        each = distances(prediction, target, self.distance, self.huber) / (upper - lower)
        return each.sum() / max(1, len(each))

    def sample(
        self,
        network: Network,
        noise: Tensor,
        levels: Sequence[float],
        generator: torch.Generator,
    ) -> Tensor:
        """Samples [N, *S] from noise [N, *S], in one step and one more at each of `levels`."""
        top = noise.new_full((len(noise),), self.sigma_max)
        made = self.denoise(network, self.sigma_max * noise, top)
        for level in levels:
            added = max(level**2 - self.sigma_min**2, 0) ** 0.5
            fresh = torch.randn(
                noise.shape, generator=generator, device=noise.device, dtype=noise.dtype
            )
            made = self.denoise(network, made + added * fresh, torch.full_like(top, level))
        return made


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum()
