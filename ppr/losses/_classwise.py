"""Classification losses that are a function l of the true class's log-probability alone.

    L(f(x), k) = l(log p_k)        L(f(x), q) = sum_k q_k l(log p_k)

Linear in the target's distribution q, so that integer targets [N] and probabilities [N, C] (of
mixup, say) go the same way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ppr.losses._batch import widen

ClassLoss = Callable[[Tensor], Tensor]
"""log p, any shape -> the loss if that class is the true one, same shape."""


def log_probabilities(logits: Tensor) -> Tensor:
    return widen(logits).log_softmax(1)


def of_target(
    loss: ClassLoss, log_p: Tensor, target: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Each sample's loss [N] from log_p [N, C] and its target; `weights` [C] are the classes'."""
    if target.is_floating_point():
        shares = target.to(log_p.dtype)
        return (loss(log_p) * (shares if weights is None else shares * weights)).sum(1)
    losses = loss(log_p.gather(1, target.unsqueeze(1))).squeeze(1)
    return losses if weights is None else losses * weights[target]


def complement(log_p: Tensor) -> Tensor:
    """1 - p, to the last digit where p is near 1, and never quite 0.

    A power below 1 of it has an infinite slope at 0, which times a gradient of 0 is not a number.
    """
    return (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)


def focal_term(log_p: Tensor, gamma: float) -> Tensor:
    return -complement(log_p).pow(gamma) * log_p


def with_gamma(gamma: float) -> ClassLoss:
    return functools.partial(focal_term, gamma=gamma)


def total(losses: Tensor, target: Tensor, per: Literal["sample", "foreground"]) -> Tensor:
    """The sum of losses [N] over the batch size, or over its samples of other classes than 0."""
    if per == "sample":
        return losses.sum() / max(1, len(target))
    found = target[:, 1:].sum() if target.is_floating_point() else (target != 0).sum()
    return losses.sum() / found.clamp(min=1)
