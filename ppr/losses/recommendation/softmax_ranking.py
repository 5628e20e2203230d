"""Softmax loss of recommendation: a chosen item against negatives, by their score gaps.

Wu et al., "On the Effectiveness of Sampled Softmax Loss for Item Recommendation", TOIS 2024, as
(3.1) of Yang et al., "PSL", NeurIPS 2024, writes it. With d_uij = f(u, j) - f(u, i) for an item i
that user u chose and another one j,

    L = mean_(u,i) log E_j exp(d_uij / t)

(3.1) sums over j where this averages: log M less for M negatives, the same gradient. Where one of
equally likely negatives is the positive itself, it is cross-entropy less log M. `temperature` t
divides differences of scores as they are; the paper's scores are cosines halved, so its tau is t/2.

Shapes: positive [N], negative [N, M], chances [N, M] or None (see _gaps.py). Half
precision is computed in float32. An empty batch gives 0 with a gradient of 0.

Raises ValueError for scores of other shapes. Read in optim_Softmax.py of Tiny-Snow/IR-Benchmark.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.fields import Positive
from ppr.losses.recommendation._gaps import batch_mean, gaps, log_expected_exp
from ppr.registry import component


@component("loss", family="ranking")
class SoftmaxRankingLoss(nn.Module):
    def __init__(self, *, temperature: Positive = 0.2) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, positive: Tensor, negative: Tensor, chances: Tensor | None = None) -> Tensor:
        exponents = gaps(positive, negative) / self.temperature
        return batch_mean(log_expected_exp(exponents, chances))
