"""Robust accuracy: a step of the fast gradient sign method against every sample.

Paper: Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples",
arXiv:1412.6572, section 4:

    x' = x + epsilon sign( grad_x CE(f(x), y) )

x as the network sees it: `epsilon` is in the units of normalised inputs, and x' is not clipped.
Each sample's gradient is its own. A gradient of zero moves nothing, so a network that is certain
beyond float32's reach looks more robust than it is.

Metrics, fractions of 1: `top1`, of the attacked samples; `clean`, of the samples as they are.

Raises BadRequest if the task trains no classifier, RunFailed on NaN or infinite logits.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch.nn import functional as F

from ppr.engine.subject import Subject, evaluating
from ppr.errors import RunFailed
from ppr.fields import NonNegative
from ppr.registry import component

WHERE = "evaluator.fgsm"


@component("evaluator")
class FGSM:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def __init__(self, *, epsilon: NonNegative = 0.05) -> None:
        self.epsilon = epsilon

    def protocol(self) -> dict[str, object]:
        return {
            "measures": "the task's own classifier",
            "epoch": "last",
            "epsilon": self.epsilon,
            "inputs": "as the network sees them, not clipped",
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        network = subject.classifying(WHERE)
        kept = attacked = samples = 0
        with evaluating(network), torch.enable_grad():
            for ready, targets in subject.batches(subject.target_split):
                inputs = ready.detach().requires_grad_()
                logits = network(inputs)
                loss = F.cross_entropy(logits, targets, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, inputs)
                if not bool(logits.isfinite().all()):
                    raise RunFailed(f"{WHERE}: logits hold NaN or infinite values")
                with torch.no_grad():
                    moved = network(inputs + self.epsilon * gradient.sign())
                kept += int((logits.argmax(1) == targets).sum())
                attacked += int((moved.argmax(1) == targets).sum())
                samples += len(targets)
        return {"top1": attacked / samples, "clean": kept / samples}
