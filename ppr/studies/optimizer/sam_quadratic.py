"""SAM's gradient on a quadratic, against its closed form.

Foret et al., "Sharpness-Aware Minimization", arXiv:2010.01412. With L(w) = w^T H w / 2, H random
and positive definite, equations 2 and 3 without the dropped terms are exact:

    grad L(w + e) = H (w + rho H w / ||H w||)

The optimizer is the one that runs train with, its passes are those of the training loop. Float64.

Metrics: `gradient/error`, the largest difference of an entry, relative to the largest entry;
`gradient/restored`, the same of the weights before and after; `gradient/gain`, L(w + e) - L(w) of
SAM's e, less that of the best of `draws` random e of the same length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count
from ppr.optimizers.two_pass import TwoPass
from ppr.registry import component
from ppr.studies.study import Study


@component("task")
class SAMQuadratic(Study):
    def __init__(self, bench: Bench, *, size: Count = 20, draws: Count = 1000) -> None:
        super().__init__(bench)
        self.size, self.draws = size, draws

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(torch.device("cpu"), self.bench.seed, "quadratic")
        factor = torch.randn(self.size, self.size, generator=random, dtype=torch.float64)
        hessian = factor @ factor.T / self.size
        start = torch.randn(self.size, generator=random, dtype=torch.float64)
        model = nn.ParameterList([start.clone()])
        (weights,) = model
        optimizer: TwoPass = self.bench.build("optimizer", model)
        torch.autograd.backward(value(weights, hessian))
        optimizer.ascend()
        moved = weights.detach() - start
        optimizer.zero_grad()
        torch.autograd.backward(value(weights, hessian))
        optimizer.descend()
        direction = hessian @ start
        length = self.bench.values["optimizer"]["rho"]
        closed = hessian @ (start + length * direction / direction.norm())
        others = torch.randn(self.draws, self.size, generator=random, dtype=torch.float64)
        others = length * others / others.norm(dim=1, keepdim=True)
        best = torch.stack([value(start + e, hessian) for e in others]).max()
        assert weights.grad is not None
        return {
            "gradient": {
                "error": _difference(weights.grad, closed),
                "restored": _difference(weights.detach(), start),
                "gain": (value(start + moved, hessian) - best).item(),
            }
        }


def value(weights: Tensor, hessian: Tensor) -> Tensor:
    return weights @ hessian @ weights / 2


def _difference(one: Tensor, other: Tensor) -> float:
    return ((one - other).abs().max() / other.abs().max()).item()
