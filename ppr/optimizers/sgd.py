"""Stochastic gradient descent with momentum, torch's own.

    d_t = g_t + weight_decay * w_t
    v_t = momentum * v_{t-1} + d_t                       v_1 = d_1
    w_{t+1} = w_t - lr * v_t                             nesterov: lr * (d_t + momentum * v_t)

Equations: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html. The defaults of
momentum and weight decay, and decaying every parameter, are those of `set_optimizer` (util.py) and
main_supcon.py of https://github.com/HobbitLong/SupContrast.
"""

from __future__ import annotations

import torch
from torch import nn

from ppr.errors import BadRequest
from ppr.fields import BelowOne, NonNegative, Positive
from ppr.optimizers.groups import decay_groups, fused
from ppr.registry import component


@component("optimizer")
def sgd(
    model: nn.Module,
    *,
    lr: Positive,
    momentum: BelowOne = 0.9,
    weight_decay: NonNegative = 1e-4,
    nesterov: bool = False,
    decay_norm_and_bias: bool = True,
) -> torch.optim.Optimizer:
    """
    Raises:
        BadRequest: `nesterov` without momentum.
    """
    if nesterov and momentum == 0:
        raise BadRequest("optimizer.nesterov=true: needs optimizer.momentum greater than 0")
    groups = decay_groups(model.parameters(), weight_decay, decay_norm_and_bias)
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused(model))
