"""Accuracy of the classifier that the task trained.

Metrics, fractions of 1: `top1`; `top5` with more than five classes.

Raises BadRequest if the task trains no classifier, RunFailed on NaN or infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ppr.engine.subject import Subject
from ppr.evaluators.classification.accuracy import top_accuracies
from ppr.registry import component

WHERE = "evaluator.classifier"


@component("evaluator", keeps="samples")
class Classifier:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the task's own classifier", "epoch": "last"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        return top_accuracies(*subject.logits(subject.target_split, WHERE))
