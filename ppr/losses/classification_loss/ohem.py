"""Online hard example mining: cross-entropy of the samples with the highest loss in a batch.

Method: Shrivastava et al., "Training Region-based Object Detectors with Online Hard Example
Mining", CVPR 2016, arXiv:1604.03540: the loss of every example is computed and only the hardest are
learnt from. It is a baseline of Lin et al. 2017 (focal.py). Their non-maximum suppression between
examples, which overlap in an image, has no place here.

    L = sum_{n in hardest} -log p_{y_n} / normaliser

The hardest are a share `keep` of the batch, rounded up; the normaliser is how many they are, or
(`per: foreground`) the foreground samples of the batch, of other classes than 0 (1 if there are
none), so that it can be held against focal losses that are normalised so.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities. In nats. Half precision is
computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ppr.fields import Fraction
from ppr.losses._batch import rounded_up
from ppr.losses._classwise import log_probabilities, of_target, total
from ppr.registry import component


@component("loss", family="classification")
class OHEMLoss(nn.Module):
    def __init__(
        self, *, keep: Fraction = 0.25, per: Literal["sample", "foreground"] = "sample"
    ) -> None:
        super().__init__()
        self.keep = keep
        self.per = per
        self.batch_wide = keep < 1 or per == "foreground"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = of_target(lambda log_p: -log_p, log_probabilities(logits), target)
        hardest = losses.topk(rounded_up(self.keep, len(losses)), sorted=False).values
        if self.per == "foreground":
            return total(hardest, target, self.per)
        return hardest.sum() / max(1, len(hardest))
