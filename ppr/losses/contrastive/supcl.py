"""SupCL, supervised and self-supervised contrastive loss mixed so that classes do not collapse.

Lee et al., "A Theoretical Framework for Preventing Class Collapse in Supervised Contrastive
Learning", AISTATS 2025, arXiv:2503.08203, in the form of the authors' code (leechungpa/ssem-supcl,
cifar/src/builder.py). For unit vectors z_i over all views of a batch and s_ij = z_i.z_j / t:

    L = (1 - alpha) L_sup + alpha L_cl
    each  L_x = mean over its positive pairs (i, j) of  log sum_k e^{s_ik} - s_ij

The positive pairs of L_cl are views of one sample, a view with itself among them; those of L_sup
are views of two samples of one class. The sum runs over ALL k, k = i included: that, and the mean
over pairs where SupCon (supcon.py) takes one over anchors, sets the theory's thresholds.

Shapes: embeddings [N, V, D] or [N, D]; labels [N] integers, or None for each sample its own class.
Embeddings are L2-normalised here; half precision is computed in float32. Without a pair of either
kind its part is 0, where the code has the mean of nothing. Memory is linear in the batch.

Raises ValueError for embeddings of another rank or labels that are not one per sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.fields import Fraction, Positive
from ppr.losses._batch import normalised_views
from ppr.losses._partition import log_partition
from ppr.registry import component


def supcl(
    embeddings: Tensor, labels: Tensor | None = None, *, alpha: float, temperature: float
) -> Tensor:
    z, classes, sizes = normalised_views(embeddings, labels, length=temperature**-0.5)
    if not len(z):
        return z.sum()
    views = embeddings.shape[1] if embeddings.dim() == 3 else 1
    samples = torch.arange(len(z), device=z.device) // views
    lse = log_partition(z, z)
    same_sample = _similarities(z, samples)
    contrast = lse.mean() - same_sample / (len(z) * views)
    others = (sizes - views).to(z.dtype)  # positives of L_sup that each anchor has
    supervised = (lse * others).sum() - (_similarities(z, classes) - same_sample)
    return (1 - alpha) * supervised / others.sum().clamp(min=1) + alpha * contrast


def _similarities(z: Tensor, groups: Tensor) -> Tensor:
    """The sum of z_i.z_j over all ordered pairs within groups: the squared lengths of their sums.

    A group's id is below the number of rows.
    """
    return torch.zeros_like(z).index_add(0, groups, z).square().sum()


@component("loss", family="contrastive", targets="class")
class SupCLLoss(nn.Module):
    def __init__(self, *, alpha: Fraction = 0.5, temperature: Positive = 0.1) -> None:
        super().__init__()
        self.alpha = alpha
        self.temperature = temperature

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        return supcl(embeddings, labels, alpha=self.alpha, temperature=self.temperature)
