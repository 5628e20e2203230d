"""What every contrastive loss does first: embeddings become rows of one length, with class ids."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ppr.losses._partition import first_order


def widen(x: Tensor) -> Tensor:
    """At least float32: exponentials of half-precision logits would lose the loss's digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rounded_up(share: float, count: int) -> int:
    """`share` of `count`, rounded up, of the share as it is written: 0.07 of 100 are 7.

    In floats 0.07 * 100 is a little more than 7.
    """
    return math.ceil(Fraction(repr(float(share))) * count)


class _FullPrecision(torch.autograd.Function):
    """A function of tensors and its gradient, both computed with autocast off."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        with torch.enable_grad(), _autocast_off(inputs[0]):
            ctx.inputs = [x.detach().requires_grad_() for x in inputs]
            ctx.output = function(*ctx.inputs)
        output: Tensor = ctx.output.detach()
        return output

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with _autocast_off(grad):
            grads = torch.autograd.grad(ctx.output, ctx.inputs, grad, retain_graph=True)
        return None, *grads


def in_full_precision(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs), of which autocast, should the caller have it on, rounds no product."""
    output: Tensor = _FullPrecision.apply(function, *inputs)
    return output


def _autocast_off(like: Tensor) -> AbstractContextManager[Any]:
    kind = like.device.type
    available = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if available else nullcontext()


class _Normalise(torch.autograd.Function):
    """torch.nn.functional.normalize times a length, in half the operations.

    On a small batch the losses' time is in the number of operations, not in their size.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, length: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_(min=1e-12).div_(length)
        z: Tensor = x / norm
        ctx.save_for_backward(z, norm)
        ctx.length = length
        return z

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        z, norm = ctx.saved_tensors
        radial = (z * grad).sum(1, keepdim=True).div_(ctx.length**2)
        return torch.addcmul(grad, z, radial, value=-1).div_(norm), None


def normalised_views(
    embeddings: Tensor, labels: Tensor | None, length: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings [N, V, D] or [N, D] as rows [N*V, D] of a length, their class ids and class sizes.

    Ids [N*V] are below N, and equal where the labels are; sizes [N*V] count the class of each row,
    itself included.

    Raises:
        ValueError: embeddings of another rank, or labels that are not one per sample.
    """
    if embeddings.dim() not in (2, 3):
        raise ValueError(f"embeddings {tuple(embeddings.shape)}: expected [N, V, D] or [N, D]")
    samples = len(embeddings)
    if labels is None:
        ids = torch.arange(samples, device=embeddings.device)
        sizes = torch.ones_like(ids)
    elif labels.shape == (samples,):
        # Not torch.unique: its output has a data-dependent size, which makes a GPU wait.
        ordered = labels.sort().values
        ids = torch.searchsorted(ordered, labels)
        sizes = torch.searchsorted(ordered, labels, right=True) - ids
    else:
        raise ValueError(f"labels {tuple(labels.shape)}: expected one per sample, ({samples},)")
    if embeddings.dim() == 3:
        views = embeddings.shape[1]
        ids, sizes = ids.repeat_interleave(views), sizes.repeat_interleave(views) * views
        embeddings = embeddings.flatten(0, 1)
    return _Normalise.apply(widen(embeddings), length), ids, sizes


def matched_rows(a: Tensor, b: Tensor, length: float = 1.0) -> tuple[Tensor, Tensor]:
    """The embeddings [N, D] of two towers as rows of a length; those of one index match.

    Raises:
        ValueError: embeddings of another rank, or of two shapes.
    """
    if a.dim() != 2 or a.shape != b.shape:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise ValueError(f"embeddings {shapes}: expected two of one shape [N, D]")
    return _Normalise.apply(widen(a), length), _Normalise.apply(widen(b), length)
