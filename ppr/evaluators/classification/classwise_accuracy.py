"""Accuracy of the task's classifier class by class: balanced, worst, and of the rare classes.

    recall_k = share of the samples of class k that are classified as k

The mean of the recalls is the balanced accuracy: that of a test set with equally many samples of
every class, whatever this one has. Of K classes, the floor(K / 2) with the fewest training samples
are the tail (of equally many, those with the higher number).

Metrics, fractions of 1: `balanced`; `worst`, the least recall; `head` and `tail`, the means over
the other classes and over the tail. Classes without a sample in the split are left out; a mean over
none is undefined (NaN).

Raises BadRequest if the task trains no classifier, RunFailed on NaN or infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from ppr.engine.subject import Subject
from ppr.registry import component

WHERE = "evaluator.classwise_accuracy"


@component("evaluator")
class ClasswiseAccuracy:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the task's own classifier", "epoch": "last", "tail": "rarer half"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = subject.class_count(WHERE)
        logits, target = subject.logits(subject.target_split, WHERE)
        right = target[logits.argmax(1) == target]
        tested = torch.bincount(target, minlength=classes)
        recall = torch.bincount(right, minlength=classes) / tested
        trained = torch.bincount(subject.split("train").targets, minlength=classes)
        order = trained.argsort(descending=True, stable=True).to(recall.device)
        head, tail = order[: classes - classes // 2], order[classes - classes // 2 :]
        return {
            "balanced": recall.nanmean().item(),
            "worst": recall[tested > 0].min().item(),
            "head": recall[head].nanmean().item(),
            "tail": recall[tail].nanmean().item(),
        }
