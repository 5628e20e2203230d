"""What the ranking losses share: score gaps, and averages over negatives with their chances.

The family's call is `loss(positive, negative, chances)`: the scores [N] of an interaction's item
and [N, M] of items that stand against it. `chances` [N, M], rows of sum 1, are those that a
negative is drawn with; without them the M are equally likely. So a loss of a sample of negatives
and its expectation over all items are one formula.
"""

from __future__ import annotations

import math

from torch import Tensor

from ppr.losses._batch import widen


def gaps(positive: Tensor, negative: Tensor) -> Tensor:
    """d [N, M]: each negative's score less that of the positive, at least float32.

    Raises:
        ValueError: other shapes, or no negative.
    """
    if positive.dim() != 1 or negative.dim() != 2 or len(positive) != len(negative):
        shapes = f"{tuple(positive.shape)} and {tuple(negative.shape)}"
        raise ValueError(f"scores {shapes}: expected [N] and [N, M]")
    if not negative.shape[1]:
        raise ValueError("scores of negatives [N, 0]: expected one at least")
    return widen(negative) - widen(positive)[:, None]


def expected(values: Tensor, chances: Tensor | None) -> Tensor:
    """E_j values_j of each row, [N]."""
    return values.mean(1) if chances is None else (chances * values).sum(1)


def log_expected_exp(values: Tensor, chances: Tensor | None) -> Tensor:
    """log E_j exp(values_j) of each row, [N]."""
    if chances is None:
        return values.logsumexp(1) - math.log(values.shape[1])
    return (values + chances.log()).logsumexp(1)


def batch_mean(losses: Tensor) -> Tensor:
    """The mean over a batch, 0 over an empty one."""
    return losses.sum() / max(1, len(losses))
