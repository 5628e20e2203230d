"""The embeddings that a loss compares, for the evaluators that measure their geometry."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.errors import RunFailed


def unit_outputs(subject: Subject, split: str, by: str) -> tuple[Tensor, Tensor]:
    """The network's outputs of a split as unit vectors [N, D] in float64, and the targets [N].

    Raises:
        BadRequest: the subject has no network.
        RunFailed: an output is not one finite vector a sample.
    """
    batches = list(subject.outputs(split, by))
    outputs = torch.cat([found for found, _ in batches])
    if outputs.dim() != 2:
        raise RunFailed(f"{by}: needs outputs [N, D], the network made {list(outputs.shape)}")
    if not outputs.isfinite().all():
        raise RunFailed(f"{by}: outputs of the {split} split hold NaN or infinite values")
    where = torch.device("cpu") if outputs.device.type == "mps" else outputs.device  # no float64
    targets = torch.cat([part for _, part in batches])
    return F.normalize(outputs.to(where, torch.float64)), targets.to(where)


def class_sums(z: Tensor, targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Sums [C, D] of the rows of each class, and how many rows they have [C]."""
    sums = z.new_zeros(classes, z.shape[1]).index_add_(0, targets, z)
    return sums, targets.bincount(minlength=classes)
