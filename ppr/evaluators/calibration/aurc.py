"""Area under the risk-coverage curve: do a classifier's errors come with low confidence?

Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", arXiv:1705.08500; the
area as Geifman, Uziel and El-Yaniv measure it, arXiv:1805.08206. With the N samples ordered by
falling top probability, and e_i = 1 where the i-th is classified wrongly,

    AURC = 1/N sum_{n = 1}^{N} (e_1 + ... + e_n) / n

Papers often print it times 1000. Equal confidences keep the samples' order.

Metrics, fractions of 1: `aurc`; `excess`, AURC less that of the best order for as many errors.

Raises BadRequest if the task trains no classifier, RunFailed on NaN or infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from ppr.engine.subject import Subject
from ppr.registry import component

WHERE = "evaluator.aurc"


@component("evaluator")
class AURC:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def protocol(self) -> dict[str, object]:
        return {
            "measures": "the task's own classifier",
            "epoch": "last",
            "confidence": "top probability",
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        logits, target = subject.logits(subject.target_split, WHERE)
        scores = logits.cpu().double()
        highest, guess = scores.max(1)
        # The odds of the guess: their order is that of its probability, which ends at 1.
        others = scores.scatter(1, guess[:, None], -torch.inf).logsumexp(1)
        confidence = highest - others
        wrong = (guess != target.cpu()).double()
        area = _area(wrong[confidence.argsort(descending=True, stable=True)])
        return {"aurc": area, "excess": area - _area(wrong.sort().values)}


def _area(errors: Tensor) -> float:
    return (errors.cumsum(0) / torch.arange(1, len(errors) + 1)).mean().item()
