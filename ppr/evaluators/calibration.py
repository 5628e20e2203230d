"""Calibration of the trained classifier: expected calibration error and negative log-likelihood.

Guo et al., On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599:

    ECE = sum_m |B_m|/n * |acc(B_m) - conf(B_m)|
    NLL = -1/n * sum_i log p(y_i | x_i)

with B_m the samples whose top probability falls in the m-th of `bins` equal parts of [0, 1].
torchmetrics computes ECE, with bins [lo, hi) where the authors' code (gpleiss/temperature_scaling)
has (lo, hi].

Metrics: `ece`, a fraction of 1; `nll`, in nats.

Raises BadRequest if the task trains no classifier, RunFailed on NaN or infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_calibration_error

from ppr.evaluators.subject import Subject
from ppr.fields import Count
from ppr.registry import component

WHERE = "evaluator.calibration"


@component("evaluator")
class Calibration:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def __init__(self, *, bins: Count = 15) -> None:
        self.bins = bins

    def protocol(self) -> dict[str, object]:
        return {
            "measures": "the task's own classifier",
            "epoch": "last",
            "bins": self.bins,
            "nll": "nats",
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = subject.class_count(WHERE)
        logits, target = subject.logits(subject.target_split, WHERE)
        # torchmetrics puts a probability of exactly 1 in a bin of its own, one more than `bins`.
        below_one = 1 - torch.finfo(logits.dtype).eps
        probabilities = logits.softmax(dim=1).clamp(max=below_one)
        ece = multiclass_calibration_error(probabilities, target, classes, n_bins=self.bins)
        return {"ece": ece.item(), "nll": F.cross_entropy(logits, target).item()}
