"""Layer-wise adaptive rate scaling (LARS): SGD with momentum whose step is scaled layer by layer.

Paper: You, Gitman, Ginsburg, "Large Batch Training of Convolutional Networks",
https://arxiv.org/abs/1708.03888. A layer is one parameter tensor.

    d_t = g_t + weight_decay * w_t
    q_t = trust * |w_t| / |d_t|                          1 where either norm is 0
    v_t = momentum * v_{t-1} + lr * q_t * d_t            v_0 = 0
    w_{t+1} = w_t - v_t

This is `LARSOptimizer` (lars_optimizer.py) of https://github.com/google-research/simclr with its
defaults: norms are L2, the learning rate enters the momentum. Without `decay_norm_and_bias`, the
parameters with at most one dimension have neither weight decay nor scaling (q_t = 1): the same
list excludes them from both there, and in main.py of
https://github.com/facebookresearch/barlowtwins. The norms are right for a d_t of any length (see
norms.py): lr * q_t * d_t is lr * trust * |w_t| long.

Not timm's Lars, which is another method: its rate is applied after the momentum, its q_t has
|g_t| + weight_decay * |w_t| in place of |d_t|, and it leaves out no parameter by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ppr.fields import BelowOne, NonNegative, Positive
from ppr.optimizers.groups import decay_groups
from ppr.optimizers.norms import norms
from ppr.registry import component


class LARS(torch.optim.Optimizer):
    """One step of every group; a group with `scaled: False` is plain SGD with momentum."""

    def __init__(self, params: Any, **defaults: float | bool) -> None:
        super().__init__(params, dict(defaults))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return
        # The _foreach functions do a whole group in a few launches: a ResNet-50 has 161 parameters.
        steps = torch._foreach_add(
            [weight.grad for weight in weights], weights, alpha=group["weight_decay"]
        )
        if group["scaled"]:
            sizes, lengths = norms(weights), norms(steps)
            ratios = (group["trust"] * sizes / lengths).clamp(max=torch.finfo(sizes.dtype).max)
            usable = (sizes > 0) & (lengths > 0)
            torch._foreach_mul_(steps, list(torch.where(usable, ratios, 1.0).unbind()))
        momenta = [self._momentum(weight) for weight in weights]
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, steps, alpha=group["lr"])
        torch._foreach_sub_(weights, momenta)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


@component("optimizer")
def lars(
    model: nn.Module,
    *,
    lr: Positive,
    momentum: BelowOne = 0.9,
    weight_decay: NonNegative = 1e-6,
    trust: Positive = 1e-3,
    decay_norm_and_bias: bool = False,
) -> torch.optim.Optimizer:
    groups = decay_groups(model.parameters(), weight_decay, decay_norm_and_bias)
    for group in groups:
        group["scaled"] = decay_norm_and_bias or group["params"][0].ndim > 1
    return LARS(groups, lr=lr, momentum=momentum, trust=trust)
