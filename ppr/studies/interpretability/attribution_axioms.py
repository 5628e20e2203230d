"""Axioms of attribution on the examples that tell methods apart.

Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, arXiv:1703.01365. All
inputs are explained against the baseline 0.

    sensitivity     f(x) = 1 - ReLU(1 - x) at x = 2: it has risen by 1, and is flat there
    implementation  f = ReLU(ReLU(x1) - 1 - ReLU(x2)) and g = ReLU(ReLU(x1 - 1) - ReLU(x2)), one
                    function in two networks, at (3, 1)
    symmetry        x1 x2 at (1, 1), along the straight line and along x1 first, then x2
    linearity       the attributions of 2 f - 3 g are those of f and g so combined, of two random
                    networks
    completeness    they add up to the difference in value, of random networks

DeepLift is its rescale rule (Shrikumar et al.): at each ReLU the multiplier is
change of output over change of input.

Metrics `measured/…`: `ig` and `gradient` (sensitivity), `ig_f1`, `ig_f2`, `ig_g1`, `ig_g2`,
`deeplift_f1` and so on (implementation), `straight` and `bent` (what x1 is given; symmetry),
`linearity`, `completeness` (largest errors), `same`, the largest difference of f and g over random
points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.evaluators.interpretability._path import gradient, integrated_gradients
from ppr.fields import Count
from ppr.registry import component
from ppr.studies.study import Study

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Network:
    """ReLU(w . ReLU(W x + b) + c), or without the outer ReLU; x is [N, D]."""

    W: Tensor
    b: Tensor
    w: Tensor
    c: float
    outer: bool = True

    def __call__(self, x: Tensor) -> Tensor:
        out = (x @ self.W.T + self.b).relu() @ self.w + self.c
        return out.relu() if self.outer else out

    def deeplift(self, x: Tensor) -> Tensor:
        """Contributions of one input [D], against 0."""
        inside, nothing = self.W @ x + self.b, self.b
        hidden, none = inside.relu(), nothing.relu()
        inner = (hidden - none) / (inside - nothing)
        end, start = self.w @ hidden + self.c, self.w @ none + self.c
        outer = (end.relu() - start.relu()) / (end - start)
        return x * (self.W.T @ (inner * self.w * outer))


def attributions(function: Function, x: Tensor, steps: int) -> Tensor:
    """Integrated gradients of inputs [N, D] against 0."""
    return integrated_gradients(lambda at, _: function(at), x, torch.zeros_like(x[:1]), steps)


@component("task")
class AttributionAxioms(Study):
    def __init__(self, bench: Bench, *, steps: Count = 1000, points: Count = 200) -> None:
        super().__init__(bench)
        self.steps, self.points = steps, points

    def measure(self) -> dict[str, dict[str, float]]:
        parts = (
            self._sensitivity(),
            self._implementation(),
            self._symmetry(),
            self._random_networks(),
        )
        return {"measured": {name: value for part in parts for name, value in part.items()}}

    def _tensor(self, values: object) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.bench.device)

    def _sensitivity(self) -> dict[str, float]:
        def flat(x: Tensor) -> Tensor:
            return 1 - (1 - x).relu()[:, 0]

        x = self._tensor([[2.0]])
        return {
            "gradient": gradient(flat, x).item(),
            "ig": attributions(flat, x, self.steps).item(),
        }

    def _implementation(self) -> dict[str, float]:
        eye, out = torch.eye(2, dtype=torch.float64, device=self.bench.device), [1.0, -1.0]
        pair = {
            "f": Network(eye, self._tensor([0.0, 0.0]), self._tensor(out), -1.0),
            "g": Network(eye, self._tensor([-1.0, 0.0]), self._tensor(out), 0.0),
        }
        x = self._tensor([[3.0, 1.0]])
        found = {}
        for name, network in pair.items():
            ig, lifted = attributions(network, x, self.steps)[0], network.deeplift(x[0])
            for i in (0, 1):
                found[f"ig_{name}{i + 1}"] = ig[i].item()
                found[f"deeplift_{name}{i + 1}"] = lifted[i].item()
        many = 4 * self._normal("points", 100_000, 2)
        found["same"] = (pair["f"](many) - pair["g"](many)).abs().max().item()
        return found

    def _symmetry(self) -> dict[str, float]:
        straight = attributions(lambda x: x[:, 0] * x[:, 1], self._tensor([[1.0, 1.0]]), self.steps)
        # Along x1 first, where x2 is still 0.
        bent = attributions(lambda x: x[:, 0] * 0.0, self._tensor([[1.0]]), self.steps)
        return {"straight": straight[0, 0].item(), "bent": bent.item()}

    def _random_networks(self) -> dict[str, float]:
        f, g = (
            Network(
                self._normal(f"{name}/W", 16, 6),
                self._normal(f"{name}/b", 16),
                self._normal(f"{name}/w", 16),
                c=0.5,
                outer=False,
            )
            for name in ("f", "g")
        )
        x = self._normal("inputs", self.points, 6)
        of_f, of_g = (attributions(h, x, self.steps) for h in (f, g))
        both = attributions(lambda at: 2 * f(at) - 3 * g(at), x, self.steps)
        gain = f(x) - f(torch.zeros_like(x))
        return {
            "linearity": (both - (2 * of_f - 3 * of_g)).abs().max().item(),
            "completeness": ((of_f.sum(1) - gain).abs() / gain.abs()).mean().item(),
        }

    def _normal(self, purpose: str, *shape: int) -> Tensor:
        random = generator(self.bench.device, self.bench.seed, "axioms", purpose)
        return torch.randn(shape, generator=random, dtype=torch.float64, device=random.device)
