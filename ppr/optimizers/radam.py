"""RAdam: Adam that begins without its adaptive rate while that is still uncertain, torch's own.

Paper: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", arXiv:1908.03265,
algorithm 2. With m_t and v_t as in Adam, the length of the average that v_t is

    rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t),    rho_inf = 2 / (1 - beta2) - 1
    rho_t > 5:  w -= lr m_t / (1 - beta1^t) r_t sqrt(1 - beta2^t) / (sqrt(v_t) + eps)
    else:       w -= lr m_t / (1 - beta1^t)
    r_t = sqrt( (rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t) )

Equations, defaults, the bound 5 (the paper has 4) and the place of eps:
https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html. Weight decay is decoupled:
w <- (1 - lr weight_decay) w first.
"""

from __future__ import annotations

import torch
from torch import nn

from ppr.fields import BelowOne, NonNegative, Positive
from ppr.optimizers.groups import decay_groups
from ppr.registry import component


@component("optimizer")
def radam(
    model: nn.Module,
    *,
    lr: Positive = 1e-3,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
    decay_norm_and_bias: bool = True,
) -> torch.optim.Optimizer:
    groups = decay_groups(model.parameters(), weight_decay, decay_norm_and_bias)
    # foreach: there is no fused kernel, and a loop over parameters is slow for a small model
    return torch.optim.RAdam(
        groups, lr=lr, betas=(beta1, beta2), eps=eps, decoupled_weight_decay=True, foreach=True
    )
