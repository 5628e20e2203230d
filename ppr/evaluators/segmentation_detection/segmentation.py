"""Segmentation: mean intersection over union of the classes, over all pixels of a split.

    IoU_c = TP_c / (TP_c + FP_c + FN_c),    mIoU = the mean over the classes that the split has

Counted over the split as a whole, as Cityscapes and PASCAL VOC are scored (mIoU^D in
metrics/mioud_metric.py of zifuwanggg/JDTLosses). The classes are those of the largest output.

Metrics, fractions of 1: `miou`; `accuracy`, the share of pixels.

Raises BadRequest if the task has no network with outputs at every pixel.
"""

from __future__ import annotations

import torch

from ppr.engine.subject import Subject
from ppr.registry import component

WHERE = "evaluator.segmentation"


@component("evaluator")
class Segmentation:
    def protocol(self) -> dict[str, object]:
        return {"measures": "the task's own outputs", "epoch": "last", "counted over": "the split"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = subject.class_count(WHERE)
        pairs = torch.zeros(classes**2, dtype=torch.int64, device=subject.device)
        for outputs, targets in subject.outputs(subject.target_split, WHERE):
            cells = targets.flatten() * classes + outputs.argmax(-1).flatten()
            pairs += cells.bincount(minlength=classes**2)
        counts = pairs.view(classes, classes).cpu().double()
        right = counts.diagonal()
        present = counts.sum(1) > 0
        iou = right / (counts.sum(0) + counts.sum(1) - right).clamp(min=1)
        return {
            "miou": iou[present].mean().item(),
            "accuracy": (right.sum() / counts.sum()).item(),
        }
