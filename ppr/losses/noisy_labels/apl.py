"""Active passive loss, APL: a normalised loss and a bounded one, both robust to noisy labels.

Paper: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020,
arXiv:2006.13554. Any loss L is normalised over the K classes, and then sums to 1 over them:

    L_norm(f(x), y) = L(f(x), y) / sum_k L(f(x), k)

    active    NCE = log p_y / sum_k log p_k
              NFL = (1 - p_y)^gamma log p_y / sum_k (1 - p_k)^gamma log p_k
    passive   MAE = 1 - p_y                 the paper's is twice that, as the code says
              RCE = -log(1e-4) (1 - p_y)    the paper's A = log 0 is what a label is clipped at
    APL       alpha * active + beta * passive

An active loss only raises p_y; a passive one lowers the other classes' probabilities as well. With
one of them null this is the other alone: MAE, NCE (configs/loss/mae.yaml, nce.yaml).

Constants, MAE without its factor 2 and NFL's gamma = 0.5 as in HanxunH/Active-Passive-Losses at
04bce53, loss.py and configs/cifar10/sym. Two differences from that code: it clips p at 1e-7 in RCE,
and it takes NFL's weights (1 - p_k)^gamma for constants in the backward pass, where this has the
gradient of the formula.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities. Half precision is computed in
float32. An empty batch gives 0 with a gradient of 0.

Raises BadRequest if both parts are null.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import NonNegative
from ppr.losses._classwise import complement, log_probabilities, of_target, total, with_gamma
from ppr.registry import component

PASSIVE_SCALE = {"mae": 1.0, "rce": -math.log(1e-4)}


@component("loss", family="classification")
class APLLoss(nn.Module):
    def __init__(
        self,
        *,
        active: Literal["nce", "nfl"] | None = "nce",
        passive: Literal["mae", "rce"] | None = "rce",
        alpha: NonNegative = 1.0,
        beta: NonNegative = 1.0,
        gamma: NonNegative = 0.5,
    ) -> None:
        super().__init__()
        if active is None and passive is None:
            raise BadRequest("loss.active=null: there must be an active or a passive part")
        self.active = active
        self.passive = passive
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = log_probabilities(logits)
        losses = log_p.new_zeros(len(log_p))
        if self.active is not None:
            # NCE is NFL without its focal weight: (1 - p)^0 = 1.
            part = with_gamma(self.gamma if self.active == "nfl" else 0.0)
            losses = self.alpha * of_target(part, log_p, target) / part(log_p).sum(1)
        if self.passive is not None:
            scale = self.beta * PASSIVE_SCALE[self.passive]
            losses = losses + scale * of_target(complement, log_p, target)
        return total(losses, target, "sample")
