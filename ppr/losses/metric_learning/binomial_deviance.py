"""Binomial deviance loss: a smooth contrastive loss over the pairs of a batch.

Yi, Lei, Li, "Deep Metric Learning for Person Re-Identification", ICPR 2014, arXiv:1407.4979, as a
baseline of Wang et al. (multi_similarity.py). With S the cosine, P_i and N_i the positives and
negatives of anchor i,

    L = 1/m sum_i { mean_{k in P_i} log[1 + e^{-alpha (S_ik - threshold)}]
                  + mean_{k in N_i} log[1 + e^{ beta  (S_ik - threshold)}] }

Formula, alpha 2, beta 40 and threshold 0.5 compared with losses/Binomial.py (without its mining) of
bnu-wangxun/Deep_Metric at 4b8bb64, by an author of that paper.

Shapes: embeddings [N, V, D] or [N, D], labels [N] or None (each sample its own class); all views
are anchors. Embeddings are L2-normalised here; half precision is computed in float32. An anchor
without a positive or without a negative counts 0, so does an empty batch.

Raises ValueError for embeddings of another rank, or labels that are not one per sample.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ppr.fields import Positive
from ppr.losses.metric_learning._pairs import cosine_pairs
from ppr.registry import component


@component("loss", family="contrastive", targets="class")
class BinomialDevianceLoss(nn.Module):
    def __init__(
        self, *, alpha: Positive = 2.0, beta: Positive = 40.0, threshold: float = 0.5
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.threshold = alpha, beta, threshold

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        cosines, positive, negative = cosine_pairs(embeddings, labels)
        above = cosines - self.threshold
        losses = _mean(F.softplus(-self.alpha * above), positive)
        losses = losses + _mean(F.softplus(self.beta * above), negative)
        return losses.sum() / max(1, len(losses))


def _mean(losses: Tensor, mask: Tensor) -> Tensor:
    """The mean over the masked entries of each row, 0 where there is none."""
    return (losses * mask).sum(1) / mask.sum(1).clamp(min=1)
