"""Average precision of telling the foreground from class 0, the background.

    AP = sum_n (R_n - R_{n-1}) P_n

over all thresholds of the foreground's probability 1 - p_0, P and R precision and recall: the area
under the curve without interpolation, as scikit-learn computes it. Unlike accuracy, it says
something where one sample in a thousand is foreground. (COCO's AP is also one of boxes.)

Metric, a fraction of 1: `ap`.

Raises BadRequest if the task trains no classifier or the split has no foreground, RunFailed on NaN
or infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from sklearn.metrics import average_precision_score

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.registry import component

WHERE = "evaluator.average_precision"


@component("evaluator")
class AveragePrecision:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the task's own classifier", "epoch": "last", "interpolation": "none"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        logits, target = subject.logits(subject.target_split, WHERE)
        foreground = target != 0
        if not foreground.any():
            raise BadRequest(f"{WHERE}: the {subject.target_split} split has no class but 0")
        # By the odds of the foreground: their order is that of 1 - p_0, which ends at 1.
        scores = logits.double()
        odds = scores[:, 1:].logsumexp(1) - scores[:, 0]
        return {"ap": float(average_precision_score(foreground.cpu().numpy(), odds.cpu().numpy()))}
