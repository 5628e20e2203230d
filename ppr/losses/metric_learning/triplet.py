"""Triplet loss, batch hard or over all triplets of a batch, with a margin or a soft one.

Paper: Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification",
arXiv:1703.07737, section 2. D is the Euclidean distance of embeddings that are not normalised,
anchors a, positives p, negatives n:

    hard         mean_a l( max_p D(a, p) - min_n D(a, n) )                         batch hard
    all          mean_{a, p, n} l( D(a, p) - D(a, n) )                             batch all
    all_nonzero  the same mean over the triplets with a loss above 0 only

    l(x) = max(0, margin + x),  or, without a margin, the soft one  ln(1 + e^x)

The mean over all triplets is what a random triplet costs in expectation. `squared` takes D^2, which
the paper advises against: training collapses more easily.

Formula compared with `batch_hard` in loss.py of VisualComputingInstitute/triplet-reid at a538696,
whose experiments take the soft margin (market1501_train.sh). There 1e-12 is added under the root;
here the distance of equal embeddings is 0, with a gradient of 0. There an anchor without a positive
has one at distance 0; here anchors without a positive or a negative are left out of the mean.

Shapes: embeddings [N, V, D] or [N, D], labels [N] or None (each sample its own class); all views
are anchors. `all` holds [M, M, M] numbers for M = N * V. Half precision is computed in float32. A
batch without a triplet gives 0.

Raises ValueError for embeddings of another rank, or labels that are not one per sample.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ppr.fields import NonNegative
from ppr.losses._batch import widen
from ppr.losses.metric_learning._pairs import lowest, pair_masks, views_as_rows
from ppr.registry import component


@component("loss", family="contrastive", targets="class")
class TripletLoss(nn.Module):
    def __init__(
        self,
        *,
        mining: Literal["hard", "all", "all_nonzero"] = "hard",
        margin: NonNegative | None = None,
        squared: bool = False,
    ) -> None:
        super().__init__()
        self.mining, self.margin, self.squared = mining, margin, squared

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        rows, ids = views_as_rows(embeddings, labels)
        # Not by matrix products: their rounding is larger than small distances are.
        exactly = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(widen(rows), widen(rows), compute_mode=exactly)
        if self.squared:
            distances = distances.square()
        positive, negative = pair_masks(ids)
        if self.mining == "hard":
            farthest, nearest = -lowest(-distances, positive), lowest(distances, negative)
            counted = positive.any(1)
            excess = torch.where(counted, farthest - nearest, 0)
        else:
            counted = positive[:, :, None] & negative[:, None, :]
            excess = distances[:, :, None] - distances[:, None, :]
        losses = F.softplus(excess) if self.margin is None else F.relu(excess + self.margin)
        if self.mining == "all_nonzero":
            counted = counted & (losses > 0)
        return (losses * counted).sum() / counted.sum().clamp(min=1)
