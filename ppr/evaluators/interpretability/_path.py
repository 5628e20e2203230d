"""Integrated gradients of any differentiable function, for the evaluator and the study of axioms.

Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, arXiv:1703.01365, (1):

    IG_i(x) = (x_i - x'_i) int_0^1 dF(x' + a (x - x'))/dx_i da

The integral is a sum over `steps` points: midpoint (i + 1/2)/steps; trapezoid, which the authors'
code has (ankurtaly/Integrated-Gradients, integrated_gradients.py), with one point more; right,
(i + 1)/steps, the sum that the paper writes. captum has the same rules, for a module's inputs; for
any function in float64 they are the few lines below, which tests hold against closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["midpoint", "trapezoid", "right"]
CHUNK = 4096
"""Points on paths that are differentiated at once."""


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Of F [N], where F_n is a function of x_n alone."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(function(x).sum(), x)
    return found


def points(steps: int, rule: Rule) -> tuple[Tensor, Tensor]:
    """Where on 0..1 the integrand is taken, and with what weight."""
    if rule == "trapezoid":
        weights = torch.full((steps + 1,), 1 / steps, dtype=torch.float64)
        weights[[0, -1]] /= 2
        return torch.arange(steps + 1, dtype=torch.float64) / steps, weights
    shift = 0.5 if rule == "midpoint" else 1.0
    places = (torch.arange(steps, dtype=torch.float64) + shift) / steps
    return places, torch.full((steps,), 1 / steps, dtype=torch.float64)


def integrated_gradients(
    function: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    baseline: Tensor,
    steps: int,
    rule: Rule = "midpoint",
) -> Tensor:
    """Attributions [N, *shape] of inputs [N, *shape].

    `function` is called with points [M, *shape] and, for each, which input's path it lies on [M].
    """
    places, weights = (part.to(x) for part in points(steps, rule))
    total = torch.zeros_like(x)
    rows = max(1, CHUNK // len(places))
    ones = (1,) * (x.dim() - 1)
    for some in torch.split(torch.arange(len(x), device=x.device), rows):
        way = (x[some] - baseline)[:, None]
        path = (baseline + places.view(1, -1, *ones) * way).flatten(0, 1)
        of = some.repeat_interleave(len(places))
        slopes = gradient(lambda at, of=of: function(at, of), path)  # type: ignore[misc]
        slopes = slopes.view(len(some), len(places), *x.shape[1:])
        total[some] = way[:, 0] * (slopes * weights.view(1, -1, *ones)).sum(1)
    return total
