"""Cross-entropy of a classifier's logits, with optional label smoothing.

    L = 1/N sum_n sum_k -q_n(k) log softmax(x_n)_k

where q_n is one-hot for an integer target, or the target row itself when it holds probabilities (of
mixup, say). Label smoothing replaces it by q'(k) = (1 - e) q(k) + e / C: Szegedy et al.,
"Rethinking the Inception Architecture", arXiv:1512.00567. In nats.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities. Half precision is computed in
float32. An empty batch gives 0 with a gradient of 0.

Computed by torch.nn.functional.cross_entropy, which raises for targets out of range or of a wrong
shape, and which skips a target of -100 (such a sample counts as 0 in the mean).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ppr.fields import Fraction
from ppr.losses._batch import widen
from ppr.registry import component


@component("loss", family="classification")
class CrossEntropyLoss(nn.Module):
    def __init__(self, *, label_smoothing: Fraction = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = widen(logits)
        if target.is_floating_point():
            target = target.to(logits.dtype)
        total = F.cross_entropy(
            logits, target, reduction="sum", label_smoothing=self.label_smoothing
        )
        return total / max(1, len(logits))
