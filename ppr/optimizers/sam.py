"""Sharpness-aware minimization, SAM: SGD with the gradient of the worst weights nearby.

Paper: Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization for Efficiently Improving
Generalization", arXiv:2010.01412, equations 2 and 3, algorithm 1.

    e = rho * g / ||g||_2,    g = grad L(w)            the norm is that of all parameters together
    w <- SGD step from w with grad L(w + e)

Both gradients are of one batch; the second-order terms of (2) are dropped. SGD and its momentum are
torch's own: its weight decay is added to the second gradient, at w, and takes no part in e. In the
released code the penalty is part of the loss, so of both gradients (`train_step` and
`get_sam_gradient` in sam_jax/training_utils/flax_training.py of google-research/sam at dae9904);
algorithm 1 leaves it out. rho = 0.05 is the usual value there (README); rho = 0 is SGD.

A gradient of zero has no direction: e = 0. Of several devices or parts of a batch the gradient is
that of the whole batch, so e is one for all (the paper's m-sharpness, e for each part, is not).

Raises BadRequest for `nesterov` without momentum.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import BelowOne, NonNegative, Positive
from ppr.optimizers.groups import decay_groups, fused
from ppr.optimizers.norms import total_norm
from ppr.optimizers.two_pass import TwoPass
from ppr.registry import component


@component("optimizer")
class SAM(torch.optim.SGD, TwoPass):
    def __init__(
        self,
        model: nn.Module,
        *,
        lr: Positive,
        rho: NonNegative = 0.05,
        momentum: BelowOne = 0.9,
        weight_decay: NonNegative = 1e-4,
        nesterov: bool = False,
        decay_norm_and_bias: bool = True,
    ) -> None:
        if nesterov and momentum == 0:
            raise BadRequest("optimizer.nesterov=true: needs optimizer.momentum greater than 0")
        groups: Any = decay_groups(model.parameters(), weight_decay, decay_norm_and_bias)
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused(model))
        self.rho = rho
        # Not in the state: between two steps, when checkpoints are made, nothing is moved.
        self._moved: list[Tensor] = []
        self._kept: list[Tensor] = []

    @torch.no_grad()
    def ascend(self) -> None:
        parameters = [p for group in self.param_groups for p in group["params"]]
        self._moved = [p for p in parameters if p.grad is not None]
        self._kept = [p.clone() for p in self._moved]
        gradients = [p.grad for p in self._moved if p.grad is not None]
        norm = total_norm(gradients)
        length = self.rho / norm.clamp(min=torch.finfo(norm.dtype).tiny)
        torch._foreach_add_(self._moved, list(torch._foreach_mul(gradients, length)))

    @torch.no_grad()
    def descend(self) -> None:
        torch._foreach_copy_(self._moved, self._kept)
