"""Euclidean norms that neither overflow nor vanish: of gradients and weights of any length.

A sum of squares leaves float32 where an entry is above 1.8e19, and loses its digits below 1e-19.
There, and there alone, a norm is taken in units of the largest entry,

    |x| = m |x / m|,    m = max_i |x_i|

so that between the two bounds it has torch's own bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

_SMALLEST = 2.0**-50
"""Largest entries below this are too near to where squares underflow, 2^-63."""


def largest(tensors: Sequence[Tensor]) -> Tensor:
    """The largest absolute entry of each tensor, [len]; NaN where it holds a NaN."""
    return torch.stack(torch._foreach_norm(list(tensors), math.inf))


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of each tensor, [len]."""
    plain, unit = torch.stack(torch._foreach_norm(list(tensors))), largest(tensors)
    # Division by the largest entry itself, but not by 0 or by what has no inverse.
    by = unit.clamp(min=torch.finfo(unit.dtype).tiny)
    scaled = torch.stack(torch._foreach_norm(torch._foreach_div(list(tensors), list(by.unbind()))))
    return _chosen(plain, by * scaled, unit)


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all tensors as one vector, 0-dimensional."""
    each = norms(tensors)
    unit = each.max()
    by = unit.clamp(min=torch.finfo(unit.dtype).tiny)
    plain, scaled = torch.linalg.vector_norm(each), by * torch.linalg.vector_norm(each / by)
    return _chosen(plain, scaled, unit)


def _chosen(plain: Tensor, scaled: Tensor, unit: Tensor) -> Tensor:
    """The norms as torch has them, but for those whose squares leave the type's range."""
    leaves = unit.isfinite() & (~plain.isfinite() | (unit < _SMALLEST))
    return torch.where(leaves, scaled, plain)


def clip(parameters: Iterable[nn.Parameter], longest: float) -> None:
    """Shorten the gradient of all parameters to the norm `longest` where it is longer."""
    given = [parameter for parameter in parameters if parameter.grad is not None]
    norm = total_norm([parameter.grad for parameter in given if parameter.grad is not None])
    torch.nn.utils.clip_grads_with_norm_(given, longest, norm)
