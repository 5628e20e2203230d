"""What distillation losses share: the target as probabilities beside the logits of two networks."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def as_shares(target: Tensor, like: Tensor) -> Tensor:
    """Targets [N] of class numbers, or [N, C] of probabilities, as probabilities [N, C]."""
    if target.is_floating_point():
        return target.to(like.dtype)
    return F.one_hot(target, like.shape[1]).to(like.dtype)


def cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Each sample's -sum_k q_k log softmax(x)_k, [N]."""
    return -(shares * logits.log_softmax(1)).sum(1)


def mean(losses: Tensor) -> Tensor:
    """The mean over a batch, 0 over an empty one."""
    return losses.sum() / max(1, len(losses))


def check_shapes(student: Tensor, teacher: Tensor) -> None:
    """
    Raises:
        ValueError: not two tensors of one shape [N, C].
    """
    if student.dim() != 2 or student.shape != teacher.shape:
        shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        raise ValueError(f"logits {shapes}: expected two of one shape [N, C]")
