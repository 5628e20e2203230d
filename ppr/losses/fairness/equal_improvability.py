"""Equal improvability: cross-entropy, and a penalty where effort helps one group more than another.

Paper: Guldogan, Zeng, Sohn, Pedarsani, Lee, "Equal Improvability: A New Fairness Notion Considering
the Long-term Impact", ICLR 2023. A classifier accepts where f(x) > 1/2. It is equally improvable if

    P( max over |dx| <= delta of f(x + dx) >= 1/2  |  f(x) < 1/2, z )

is the same for every group z. With p_i = f(x_i + dx_i) after the best effort of the samples i that
are rejected, of which group z has the share m_z / m,

    L = (1 - weight) * mean BCE(f(x), y) + weight * U
    covariance   U = ( 1/m sum_i (z_i - mean z) p_i )^2
    loss         U = sum_z | mean_{i in z} BCE(p_i, 1) - mean_i BCE(p_i, 1) |
    kde          U = sum_z Huber( P_z - P ),   P_z = mean_{i in z} Q((1/2 - p_i) / bandwidth)

Q the Gaussian tail, Huber(d) = d^2/2 up to `huber`, linear beyond it. The formulas are those of the
authors' algorithms/algorithms.py (https://github.com/guldoganozgur/ei_fairness), which writes the
gradient of the third out by hand: it is the one of this U, but for Q in Huber', which is
approximated there. Groups without a rejected sample are left out, as there.

Shapes: logits [N, 2, 2]: of each sample as it is, then after its best effort; target [N] of classes
0 (rejected) and 1; group [N], integers from 0. Effort is chosen outside, so no gradient flows
through the choice. A batch without a rejected sample has no penalty; an empty one gives 0.
Half precision is computed in float32.

Raises ValueError for logits of another shape.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.fields import Fraction, Positive
from ppr.registry import component


@component("loss", family="fair")
class EqualImprovabilityLoss(nn.Module):
    def __init__(
        self,
        *,
        penalty: Literal["covariance", "loss", "kde"] = "covariance",
        weight: Fraction = 0.0,
        groups: int = 2,
        bandwidth: Positive = 0.01,
        huber: Positive = 0.5,
    ) -> None:
        super().__init__()
        self.penalty = {"covariance": _covariance, "loss": _loss_gap, "kde": self._kde}[penalty]
        self.weight = weight
        self.groups = groups
        self.bandwidth, self.huber = bandwidth, huber

    def forward(self, logits: Tensor, target: Tensor, group: Tensor) -> Tensor:
        if logits.shape[1:] != (2, 2):
            raise ValueError(f"expected logits [N, 2, 2], got {list(logits.shape)}")
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        margin = logits[..., 1] - logits[..., 0]
        now, after = margin[:, 0], margin[:, 1]
        error = F.binary_cross_entropy_with_logits(now, target.to(now.dtype), reduction="sum")
        error = error / max(len(logits), 1)
        rejected = (now < 0).to(now.dtype)
        of_group = F.one_hot(group, self.groups).to(now.dtype) * rejected[:, None]
        return (1 - self.weight) * error + self.weight * self.penalty(after, rejected, of_group)

    def _kde(self, after: Tensor, rejected: Tensor, of_group: Tensor) -> Tensor:
        improved = torch.special.ndtr((after.sigmoid() - 0.5) / self.bandwidth)
        gaps = _gaps(improved, rejected, of_group)
        return F.huber_loss(gaps, torch.zeros_like(gaps), reduction="sum", delta=self.huber)


def _covariance(after: Tensor, rejected: Tensor, of_group: Tensor) -> Tensor:
    numbers = torch.arange(of_group.shape[1], dtype=after.dtype, device=after.device)
    count = rejected.sum().clamp(min=1)
    z = (of_group * numbers).sum(1)
    centred = (z - z.sum() / count) * rejected
    return ((centred * after.sigmoid()).sum() / count) ** 2


def _loss_gap(after: Tensor, rejected: Tensor, of_group: Tensor) -> Tensor:
    return _gaps(F.softplus(-after), rejected, of_group).abs().sum()


def _gaps(values: Tensor, rejected: Tensor, of_group: Tensor) -> Tensor:
    """The mean of each group's rejected samples less that of all; 0 for a group without any."""
    counts = of_group.sum(0)
    of_all = (values * rejected).sum() / rejected.sum().clamp(min=1)
    of_each = (values[:, None] * of_group).sum(0) / counts.clamp(min=1)
    return (of_each - of_all) * (counts > 0)
