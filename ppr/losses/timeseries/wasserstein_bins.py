"""Wasserstein loss of a forecast over ordered bins: how far its probability has to be carried.

Paper: "Fine-Tuning a Time Series Foundation Model with Wasserstein Loss", 2024, arXiv:2409.15367.
A forecaster predicts the bin of the next value; with c_i the bins' centres, y the true bin, and p
the forecast,

    W_q^q(p, y) = sum_i p_i |c_i - c_y|^q

as all probability must go to y; q = 1 is the expected absolute error. Cross-entropy, in its place,
does not know which bins are near to each other. The mean is over the positions that count.

The formula is that of optimal transport to a point. A fork of Chronos that its README gives as the
paper's has W_1 and W_2; its loss could not be read.

Shapes: outputs [N, *S, C]; targets [N, *S] integers; mask [N, *S] bool, or None. The C bins part
[-reach, reach] equally. In units of `reach`, to the power q. Half precision is computed in float32.
No position to count gives 0 with a gradient of 0.

Raises ValueError for shapes that do not fit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.fields import Positive
from ppr.losses._positions import checked, masked_mean
from ppr.registry import component


@component("loss", family="sequence")
class WassersteinBinsLoss(nn.Module):
    """`power`: q; `reach`: the bins cover [-reach, reach]."""

    def __init__(self, *, power: Positive = 1.0, reach: Positive = 4.0) -> None:
        super().__init__()
        self.power = power
        self.reach = reach

    def forward(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        outputs, targets = checked(outputs, targets, mask)
        bins = outputs.shape[-1]
        width = 2 * self.reach / bins
        apart = torch.arange(bins, device=outputs.device) - targets.unsqueeze(-1)
        cost = (width * apart.abs().to(outputs.dtype)) ** self.power
        return masked_mean((outputs.softmax(-1) * cost).sum(-1), mask)
