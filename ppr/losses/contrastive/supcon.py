"""Supervised contrastive loss, SupCon: pulls samples of a class together, pushes classes apart.

Paper: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, arXiv:2004.11362v5. For unit
vectors z_i over all views I of a batch, A(i) = I \\ {i}, and P(i) = those of A(i) in i's class:

    L_out = sum_i -1/|P(i)| sum_{p in P(i)} log( e^{z_i.z_p/t} / Z_i )                           (2)
    L_in  = sum_i -log( 1/|P(i)| sum_{p in P(i)} e^{z_i.z_p/t} / Z_i )                           (3)
    Z_i   = sum_{a in A(i)} e^{z_i.z_a/t}

L_in <= L_out by Jensen's inequality. Where the paper and the authors'
code (github.com/HobbitLong/SupContrast, losses.py) differ, this follows the code:

- the mean over anchors, not the sum, so that the learning rate does not depend on the batch size;
- an anchor without positives, where (2) divides by 0, counts as 0 in that mean;
- with `base_temperature`, the whole is multiplied by temperature / base_temperature. The code does
  so with 0.07 by default, and its learning rates assume it; None leaves it out, as in (2).

Shapes: embeddings [N, V, D] or [N, D]; labels [N] integers, or None for each sample its own class,
which makes L_out SimCLR's NT-Xent. Embeddings are L2-normalised here (normalising those of a head
that did so already changes nothing). Half precision is computed in float32; the result is a
scalar of at least float32. An empty batch, and one without any positive pair, gives 0 with a
gradient of 0. Time is quadratic in N*V, memory linear.

Raises ValueError for embeddings of another rank or labels that are not one per sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.fields import Literal, Positive
from ppr.losses._batch import normalised_views
from ppr.losses._partition import log_partition
from ppr.registry import component


def supcon(
    embeddings: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float,
    variant: str = "out",
    base_temperature: float | None = None,
) -> Tensor:
    """The mean over anchors of L_out (2) or L_in (3)."""
    # The root of 1/temperature on both sides of z.z keeps the similarities symmetric.
    z, ids, sizes = normalised_views(embeddings, labels, length=temperature**-0.5)
    if len(z) < 2:
        return z.sum() * 0
    bound = 1.01 / temperature  # with room for a unit vector's rounding
    lse = log_partition(z, bound=bound)
    positives = sizes.sub(1).to(z.dtype)
    if variant == "out":
        attraction = _attraction(z, ids, positives)
    else:
        near = log_partition(z, groups=(ids, ids), bound=bound) - positives.log()
        attraction = near.masked_fill(sizes == 1, 0).sum()
    scale = 1 if base_temperature is None else temperature / base_temperature
    loss: Tensor = (torch.dot(lse, positives.clamp(max=1)) - attraction) * (scale / len(z))
    return loss


def _attraction(z: Tensor, ids: Tensor, positives: Tensor) -> Tensor:
    """sum_i 1/|P(i)| sum_{p in P(i)} z_i.z_p by class sums: linear in the batch, no pairs made.

    With m_i the mean of i's positives, it is sum_i z_i.m_i, and its gradient is 2 m_i, since all of
    a class have as many positives: twice the sum with m held constant, less its value.
    """
    with torch.no_grad():
        sums = torch.zeros_like(z).index_add_(0, ids, z)
        others = positives.clamp(min=1).unsqueeze(1)
        means = sums.index_select(0, ids).sub_(z).div_(others).flatten()
    total = torch.dot(z.flatten(), means)
    return 2 * total - total.detach()


@component("loss", family="contrastive", targets="class")
class SupConLoss(nn.Module):
    def __init__(
        self,
        *,
        temperature: Positive = 0.1,
        variant: Literal["out", "in"] = "out",
        base_temperature: Positive | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.variant = variant
        self.base_temperature = base_temperature

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        return supcon(
            embeddings,
            labels,
            temperature=self.temperature,
            variant=self.variant,
            base_temperature=self.base_temperature,
        )
