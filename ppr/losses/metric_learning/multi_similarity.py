"""Multi-similarity loss: pairs are mined, then weighted by how hard they are among their kind.

Paper: Wang, Han, Huang, Dong, Scott, "Multi-Similarity Loss with General Pair Weighting for Deep
Metric Learning", CVPR 2019. With S the cosine, P_i and N_i the positives and negatives of anchor i,

    L = 1/m sum_i { 1/alpha log[1 + sum_{k in P_i} e^{-alpha (S_ik - lambda)}]
                  + 1/beta  log[1 + sum_{k in N_i} e^{ beta  (S_ik - lambda)}] }

in which a negative's weight, dL/dS_ij times m, is 1 / (e^{beta (lambda - S_ij)} + sum_k
e^{beta (S_ik - S_ij)}). Mining keeps, by the cosines without a gradient,

    j in N_i  if  S_ij > min_{k in P_i} S_ik - eps
    k in P_i  if  S_ik < max_{j in N_i} S_ij + eps

Formula and defaults (alpha 2, beta 40, lambda 0.5, eps 0.1) compared with ret_benchmark/losses/
multi_similarity_loss.py and config/defaults.py of MalongTech/research-ms-loss at 8db6c9c; the paper
itself prints beta 50, lambda 1. As there, m counts every anchor, also those without a pair left.
That code takes for the pair with itself any positive of a cosine above 1 - 1e-5; here the pair with
itself is left out, and an exact copy is a positive.

Shapes: embeddings [N, V, D] or [N, D], labels [N] or None (each sample its own class); all views
are anchors. Embeddings are L2-normalised here; half precision is computed in float32. An anchor
without a positive or without a negative counts 0, so does an empty batch.

Raises ValueError for embeddings of another rank, or labels that are not one per sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.fields import NonNegative, Positive
from ppr.losses.metric_learning._pairs import cosine_pairs, lowest
from ppr.registry import component


@component("loss", family="contrastive", targets="class")
class MultiSimilarityLoss(nn.Module):
    def __init__(
        self,
        *,
        alpha: Positive = 2.0,
        beta: Positive = 40.0,
        threshold: float = 0.5,
        mining: bool = True,
        slack: NonNegative = 0.1,
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.threshold = alpha, beta, threshold
        self.mining, self.slack = mining, slack

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        cosines, positive, negative = cosine_pairs(embeddings, labels)
        if self.mining:
            known = cosines.detach()
            near, far = lowest(known, positive), -lowest(-known, negative)
            negative = negative & (known > near[:, None] - self.slack)
            positive = positive & (known < far[:, None] + self.slack)
        above = cosines - self.threshold
        losses = _soft_sum(-self.alpha * above, positive) / self.alpha
        losses = losses + _soft_sum(self.beta * above, negative) / self.beta
        return losses.sum() / max(1, len(losses))


def _soft_sum(exponents: Tensor, mask: Tensor) -> Tensor:
    """log(1 + sum e^x) over the masked entries of each row."""
    chosen = exponents.masked_fill(~mask, -torch.inf)
    return torch.cat([torch.zeros_like(chosen[:, :1]), chosen], dim=1).logsumexp(1)
