"""PSL: the softmax loss of recommendation with a milder function of the gap than exp.

Yang et al., "PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for
Recommendation", NeurIPS 2024, equations (4.1) and (4.4). With d_uij = (f(u, j) - f(u, i)) / 2 for
an item i that user u chose and another one j, f cosines, so that d lies in [-1, 1],

    L = mean_(u,i) log E_j s(d_uij)^(1/t)
    s(d) = tanh(d) + 1,   relu(d + 1)   or   arctan(d) + 1

With s = exp it is the softmax loss (`softmax_ranking` at twice the temperature, which divides gaps
that are not halved). (4.1) sums over j where (4.4) and this average: log M less for M negatives.
s is kept above 1e-12, since s(-1) = 0 for relu, whose logarithm has no gradient.

Shapes: positive [N], negative [N, M], chances [N, M] or None (see _gaps.py). Half
precision is computed in float32. An empty batch gives 0 with a gradient of 0.

Raises ValueError for scores of other shapes. Read in optim_PSL.py of Tiny-Snow/IR-Benchmark
(`method=1`), whose cosines are divided by tau = 2 for the halving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ppr.fields import Positive
from ppr.losses.recommendation._gaps import batch_mean, gaps, log_expected_exp
from ppr.registry import component

SURROGATES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda d: torch.tanh(d) + 1,
    "relu": lambda d: torch.relu(d + 1),
    "atan": lambda d: torch.atan(d) + 1,
}
SMALLEST = 1e-12


@component("loss", family="ranking")
class PSLLoss(nn.Module):
    def __init__(
        self,
        *,
        surrogate: Literal["tanh", "relu", "atan"] = "relu",
        temperature: Positive = 0.1,
    ) -> None:
        super().__init__()
        self.surrogate = surrogate
        self.temperature = temperature

    def forward(self, positive: Tensor, negative: Tensor, chances: Tensor | None = None) -> Tensor:
        values = SURROGATES[self.surrogate](gaps(positive, negative) / 2)
        exponents = values.clamp(min=SMALLEST).log() / self.temperature
        return batch_mean(log_expected_exp(exponents, chances))
