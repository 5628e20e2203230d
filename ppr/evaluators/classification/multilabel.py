"""Multi-label classification: the mean average precision over labels, and the micro-averaged one.

    AP_k = mean over the positives of label k of the precision at their rank by the label's logit
    mAP  = mean of AP_k over the labels with a positive in the split

AP is scikit-learn's: without interpolation, tied scores as one step.

Where a sample has one class, that is its one label.

Metrics, fractions of 1: `map`; `micro_ap`, the AP of all labels of all samples in one ranking;
`positives`, the share of labels that are positive, which is the micro AP of a random ranking.

Raises BadRequest if the task trains no classifier or no label of the split is positive, RunFailed
on NaN or infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from sklearn.metrics import average_precision_score
from torch.nn.functional import one_hot

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.registry import component

WHERE = "evaluator.multilabel"


@component("evaluator")
class MultiLabel:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the task's own classifier", "epoch": "last", "interpolation": "none"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        logits, target = subject.logits(subject.target_split, WHERE)
        if target.dim() == 1:
            target = one_hot(target, logits.shape[1])
        scores, labels = logits.cpu().numpy(), (target > 0.5).cpu().numpy()
        found = labels.any(0)
        if not found.any():
            raise BadRequest(f"{WHERE}: no label of the {subject.target_split} split is positive")
        each = [
            average_precision_score(*pair)
            for pair in zip(labels.T[found], scores.T[found], strict=True)
        ]
        micro = average_precision_score(labels.ravel(), scores.ravel())
        return {
            "map": float(np.mean(each)),
            "micro_ap": float(micro),
            "positives": float(labels.mean()),
        }
