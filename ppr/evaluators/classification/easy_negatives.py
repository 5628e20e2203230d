"""What share of the background's loss comes from background that is classified well already.

Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, section 3: a great number of
easy negatives can outweigh the hard ones. Over the samples of class 0, with p their probability
of it, counted by cross-entropy (gamma = 0) and by the focal loss:

    share = sum_{p > threshold} (1 - p)^gamma (-log p) / sum (1 - p)^gamma (-log p)

A constant weight of the class, alpha, would cancel. Of the negatives' loss alone: of the total, the
share says little, since the few foreground samples can make most of that.

Metrics, fractions of 1: `share_ce`, `share_focal`; `easy`, the share of negatives that are easy.

Raises BadRequest if the task trains no classifier or the split has no class 0, RunFailed on NaN or
infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.fields import Fraction, NonNegative
from ppr.losses._classwise import focal_term
from ppr.registry import component

WHERE = "evaluator.easy_negatives"


@component("evaluator")
class EasyNegatives:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def __init__(self, *, threshold: Fraction = 0.9, gamma: NonNegative = 2.0) -> None:
        self.threshold = threshold
        self.gamma = gamma

    def protocol(self) -> dict[str, object]:
        return {
            "measures": "the task's own classifier",
            "epoch": "last",
            "threshold": self.threshold,
            "gamma": self.gamma,
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        logits, target = subject.logits(subject.target_split, WHERE)
        log_p = logits[target == 0].double().log_softmax(1)[:, 0]
        if not len(log_p):
            raise BadRequest(f"{WHERE}: the {subject.target_split} split has no sample of class 0")
        easy = log_p.exp() > self.threshold
        return {
            "share_ce": _share(focal_term(log_p, 0.0), easy),
            "share_focal": _share(focal_term(log_p, self.gamma), easy),
            "easy": easy.double().mean().item(),
        }


def _share(losses: Tensor, chosen: Tensor) -> float:
    """The chosen samples' part of the sum; 0 where nothing is lost at all."""
    whole = losses.sum()
    return (losses[chosen].sum() / whole).item() if whole > 0 else 0.0
