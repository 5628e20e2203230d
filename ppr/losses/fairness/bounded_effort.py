"""Bounded effort: cross-entropy, and a penalty where effort gets more of one group accepted.

A baseline of Guldogan et al., "Equal Improvability", ICLR 2023 (equal_improvability.py, whose
shapes and words these are): the same share of all of a group, not of its rejected samples, can be
accepted after the best effort. With p_i = f(x_i + dx_i) after it and n_z the samples of group z in
the batch of n,

    L = (1 - weight) * mean BCE(f(x), y) + weight * sum_z | U_z / n_z - U / n |

U the sum of BCE(p_i, 1) over the rejected samples, U_z over those of group z, as trainer_fb_fair in
algorithms/algorithms.py of https://github.com/guldoganozgur/ei_fairness. Groups without a rejected
sample are left out, as there. An empty batch gives 0. Half precision is computed in float32.

Raises ValueError for logits of another shape.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.fields import Fraction
from ppr.registry import component


@component("loss", family="fair")
class BoundedEffortLoss(nn.Module):
    def __init__(self, *, weight: Fraction = 0.0, groups: int = 2) -> None:
        super().__init__()
        self.weight = weight
        self.groups = groups

    def forward(self, logits: Tensor, target: Tensor, group: Tensor) -> Tensor:
        if logits.shape[1:] != (2, 2):
            raise ValueError(f"expected logits [N, 2, 2], got {list(logits.shape)}")
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        margin = logits[..., 1] - logits[..., 0]
        now, after = margin[:, 0], margin[:, 1]
        size = max(len(logits), 1)
        error = (
            F.binary_cross_entropy_with_logits(now, target.to(now.dtype), reduction="sum") / size
        )
        rejected = (now < 0).to(now.dtype)
        cost = F.softplus(-after) * rejected
        members = F.one_hot(group, self.groups).to(now.dtype)
        of_each = (members * cost[:, None]).sum(0) / members.sum(0).clamp(min=1)
        present = (members * rejected[:, None]).sum(0) > 0
        unfair = ((of_each - cost.sum() / size).abs() * present).sum()
        return (1 - self.weight) * error + self.weight * unfair
