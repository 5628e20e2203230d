"""Jaccard metric losses: a Jaccard loss that is least at the labels, soft ones too.

Paper: Wang, Ning and Blaschko, "Jaccard Metric Losses: Optimizing the Jaccard Index with Soft
Labels", NeurIPS 2023, arXiv:2302.05666. Of probabilities x and labels y in [0, 1]^p, p positions:

    SJL  = 1 - <x, y> / (|x| + |y| - <x, y>)                          the soft Jaccard loss
    JML1 = 1 - (|x + y| - |x - y|) / (|x + y| + |x - y|) = 1 - sum min(x, y) / sum max(x, y)
    JML2 = 1 - <x, y> / (<x, y> + |x - y|)

with |.| the sum of absolute values. All three agree where y is 0 or 1. JML1 and JML2 are 0 at
x = y alone; SJL of y with itself is not 0 where y is soft, and is least elsewhere.

The sums are over a class's positions in the whole batch; `smooth` is added to both sides of the
fraction; the loss is the mean over classes: those present with hard labels, all with soft ones.
It is mixed with cross-entropy to the labels,

    L = cross_entropy * CE + (1 - cross_entropy) * Jaccard

`labels` makes hard labels soft, by `epsilon`: `uniform`, everywhere (1 - e) onehot + e/C;
`boundary`, the same but only at pixels whose 3x3 window holds another class.

Formulas, `smooth`, classes that count and `boundary` as in losses/jdt_loss.py, configs/losses and
train_soft_label.py of zifuwanggg/JDTLosses, which has JML1; JML2 by the paper.

Shapes: outputs [N, *S, C]; targets [N, *S] integers; mask [N, *S] bool, or None. `boundary`
needs [N, H, W]. Half precision is computed in float32. Without positions that count, 0.

Raises ValueError for shapes that do not fit.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.fields import Fraction, NonNegative
from ppr.losses._positions import checked, masked_mean
from ppr.registry import component


@component("loss", family="sequence")
class JaccardMetricLoss(nn.Module):
    def __init__(
        self,
        *,
        variant: Literal["jml1", "jml2", "soft"] = "jml1",
        cross_entropy: Fraction = 0.25,
        smooth: NonNegative = 1.0,
        labels: Literal["hard", "uniform", "boundary"] = "hard",
        epsilon: Fraction = 0.5,
    ) -> None:
        super().__init__()
        self.variant = variant
        self.cross_entropy = cross_entropy
        self.smooth = smooth
        self.labels = labels
        self.epsilon = epsilon

    def forward(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        outputs, targets = checked(outputs, targets, mask)
        log_x = outputs.log_softmax(-1)
        y = F.one_hot(targets, outputs.shape[-1]).to(log_x.dtype)
        if self.labels != "hard":
            y = soften(y, self.labels, self.epsilon)
        entropy = masked_mean(-(y * log_x).sum(-1), mask)
        x = log_x.exp()
        if mask is not None:
            x, y = x * mask.unsqueeze(-1), y * mask.unsqueeze(-1)
        x, y = x.flatten(0, -2), y.flatten(0, -2)
        each = 1 - jaccard(x, y, self.variant, self.smooth)
        present = y.sum(0) > 0  # of soft labels, every class
        region = (each * present).sum() / present.sum().clamp(min=1)
        return self.cross_entropy * entropy + (1 - self.cross_entropy) * region


def jaccard(x: Tensor, y: Tensor, variant: str, smooth: float = 0.0) -> Tensor:
    """The index of probabilities and labels [P, ...] over P positions: [...]."""
    both, either = x.sum(0) + y.sum(0), (x - y).abs().sum(0)
    if variant == "jml1":
        return ((both - either) / 2 + smooth) / ((both + either) / 2 + smooth)
    product = (x * y).sum(0)
    union = both - product if variant == "soft" else product + either
    return (product + smooth) / (union + smooth)


def soften(y: Tensor, labels: str, epsilon: float) -> Tensor:
    """One-hot labels [N, *S, C] as soft ones of the same shape."""
    uniform = torch.full_like(y, 1 / y.shape[-1])
    if labels == "uniform":
        return torch.lerp(y, uniform, epsilon)
    if y.dim() != 4:
        raise ValueError(f"labels={labels}: needs targets [N, H, W], not {tuple(y.shape[:-1])}")
    padded = F.pad(y.movedim(-1, 1), (1, 1, 1, 1), mode="replicate")
    window = F.avg_pool2d(padded, 3, stride=1).movedim(1, -1)
    inside = (window * y).sum(-1, keepdim=True) > 0.95  # all nine are of the pixel's own class
    return torch.where(inside, y, torch.lerp(y, uniform, epsilon))
