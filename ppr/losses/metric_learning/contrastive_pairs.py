"""Contrastive loss over the pairs of a batch: positives together, near negatives apart.

Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006, on
cosines S as a baseline of Wang et al. (multi_similarity.py). With P_i and N_i the positives and
negatives of anchor i,

    L = 1/m sum_i { sum_{k in P_i} (1 - S_ik) + sum_{k in N_i} [S_ik - margin]_+ }

Formula and margin 0.5 compared with losses/Contrastive.py of bnu-wangxun/Deep_Metric at 4b8bb64, by
an author of that paper; it sums S, not S - margin, of the same negatives, which has the same
gradient.

Shapes: embeddings [N, V, D] or [N, D], labels [N] or None (each sample its own class); all views
are anchors. Embeddings are L2-normalised here; half precision is computed in float32. An anchor
without a positive or without a negative counts 0, so does an empty batch.

Raises ValueError for embeddings of another rank, or labels that are not one per sample.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ppr.losses.metric_learning._pairs import cosine_pairs
from ppr.registry import component


@component("loss", family="contrastive", targets="class")
class ContrastivePairsLoss(nn.Module):
    def __init__(self, *, margin: float = 0.5) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        cosines, positive, negative = cosine_pairs(embeddings, labels)
        losses = (1 - cosines) * positive + F.relu(cosines - self.margin) * negative
        return losses.sum() / max(1, len(losses))
