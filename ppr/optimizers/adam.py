"""Adam, torch's own, with weight decay as an L2 penalty: added to the gradient, not decoupled.

Paper: Kingma, Ba, "Adam: A Method for Stochastic Optimization", https://arxiv.org/abs/1412.6980,
algorithm 1.

    g_t <- g_t + weight_decay * w_t
    m_t = beta1 * m_{t-1} + (1 - beta1) * g_t
    v_t = beta2 * v_{t-1} + (1 - beta2) * g_t^2
    w_{t+1} = w_t - lr * m_t / (1 - beta1^t) / (sqrt(v_t / (1 - beta2^t)) + eps)

Equations and defaults: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html.
"""

from __future__ import annotations

import torch
from torch import nn

from ppr.fields import BelowOne, NonNegative, Positive
from ppr.optimizers.groups import decay_groups, fused
from ppr.registry import component


@component("optimizer")
def adam(
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
    return torch.optim.Adam(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=fused(model))
