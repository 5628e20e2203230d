"""LDAM: cross-entropy with a larger margin for rarer classes, and re-weighting that is deferred.

Paper: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS
2019, arXiv:1906.07413. For a sample of class y with cosine logits z, and n_j training samples of
class j,

    L = -log( e^{s (z_y - D_y)} / ( e^{s (z_y - D_y)} + sum_{j != y} e^{s z_j} ) )
    D_j = C / n_j^(1/4)

with C such that the largest margin is `max_margin`. Its weights are those of Cui et al.,
arXiv:1901.05555,

    w_j = (1 - beta) / (1 - beta^n_j)

and the loss of a batch is sum_i w_{y_i} L_i / sum_i w_{y_i}. `reweight` says when they are used:
never; always; or `deferred`, from the share `start` of training on (DRW). With max_margin = 0 and
scale = 1 it is the cross-entropy, re-weighted likewise.

All formulas, s = 30, the largest margin 0.5, beta = 0.9999 and epoch 160 of 200 as in losses.py and
cifar_train.py of kaidic/LDAM-DRW at 2536330.

Shapes: logits [N, C], cosines where s > 1; target [N] integers or [N, C] probabilities q, for which
the margins are q_j D_j. `see` takes the counts; a class without a sample counts as one with one.
Half precision is computed in float32. An empty batch gives 0 with a gradient of 0.

Raises ValueError before `see` has been called.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.fields import Fraction, NonNegative, Positive
from ppr.losses._batch import widen
from ppr.registry import component


@component("loss", family="classification")
class LDAMLoss(nn.Module):
    margins: Tensor
    balancing: Tensor
    weights: Tensor

    def __init__(
        self,
        *,
        max_margin: NonNegative = 0.5,
        scale: Positive = 30.0,
        reweight: Literal["never", "deferred", "always"] = "never",
        beta: Fraction = 0.9999,
        start: Fraction = 0.8,
    ) -> None:
        super().__init__()
        self.max_margin = max_margin
        self.scale = scale
        self.reweight = reweight
        self.batch_wide = reweight != "never"  # a mean by weight
        self.beta = beta
        self.start = start

    def see(self, targets: Tensor, classes: int) -> None:
        """Take the class sizes from the training targets [N]."""
        counts = torch.bincount(targets, minlength=classes).clamp(min=1).double()
        self.register_buffer("margins", self.max_margin * (counts.min() / counts) ** 0.25)
        weights = (1 - self.beta) / (1 - self.beta**counts) if self.beta < 1 else 1 / counts
        self.register_buffer("balancing", weights * (classes / weights.sum()))
        self.register_buffer("weights", torch.ones_like(counts))
        self.advance(0.0)

    def advance(self, done: float) -> None:
        """Use the weights from now on, where training has come that far."""
        if self.reweight == "always" or (self.reweight == "deferred" and done >= self.start):
            self.weights.copy_(self.balancing)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if not hasattr(self, "margins"):
            raise ValueError("LDAMLoss: needs class sizes; call see(training_targets, classes)")
        logits = widen(logits)
        shares = target if target.is_floating_point() else F.one_hot(target, logits.shape[1])
        shares = shares.to(logits.dtype)
        log_p = (self.scale * (logits - shares * self.margins.to(logits))).log_softmax(1)
        weighted = shares * self.weights.to(logits)
        return -(weighted * log_p).sum() / weighted.sum().clamp(min=torch.finfo(log_p.dtype).tiny)
