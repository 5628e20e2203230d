"""BPR: Bayesian personalised ranking, the log-likelihood that a chosen item outranks another.

Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009,
arXiv:1205.2618, section 4.1, without its weight decay, which is the optimizer's. With
d_uij = f(u, j) - f(u, i) for an item i that user u chose and another one j,

    L = mean_(u,i) E_j softplus(d_uij)

Shapes: positive [N], negative [N, M], chances [N, M] or None (see _gaps.py). Half
precision is computed in float32. An empty batch gives 0 with a gradient of 0.

Raises ValueError for scores of other shapes. Read in optim_BPR.py of Tiny-Snow/IR-Benchmark.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ppr.losses.recommendation._gaps import batch_mean, expected, gaps
from ppr.registry import component


@component("loss", family="ranking")
class BPRLoss(nn.Module):
    def forward(self, positive: Tensor, negative: Tensor, chances: Tensor | None = None) -> Tensor:
        return batch_mean(expected(F.softplus(gaps(positive, negative)), chances))
