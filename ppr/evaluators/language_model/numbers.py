"""Numbers that a language model writes: how far its greedy answers are from the right ones.

An answer is the digits at the positions that count (the split's `extra["mask"]`, the last ones of a
text), most significant first; digit d is token d, and only digits are chosen from.

Metrics: `mae`, mean |answer - truth|; `exact`, the share of right answers, a fraction of 1;
`mae_wrong`, the mean error of the wrong ones, 0 if there are none; `digit_error`, mean difference
of a digit from the right one.

Raises BadRequest if the split has no mask, or one that differs from text to text.
"""

from __future__ import annotations

from typing import Any

import torch

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.evaluators.language_model._greedy import continued
from ppr.registry import component

WHERE = "evaluator.numbers"
DIGITS = 10


@component("evaluator")
class Numbers:
    def protocol(self) -> dict[str, object]:
        return {"decoding": "greedy, digits only", "epoch": "last"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        split: Any = subject.split(subject.target_split)
        mask = getattr(split, "extra", {}).get("mask")
        length = 0 if mask is None else int(mask[0].sum())
        if mask is None or not length or not bool(mask[:, -length:].all()):
            raise BadRequest(f"{WHERE}: needs texts whose last positions are the ones that count")
        inputs = split.inputs.to(subject.device)
        truth = split.targets[:, -length:].to(subject.device)
        prefix = inputs[:, : inputs.shape[1] - length + 1]
        found = continued(subject, prefix, length, WHERE, among=DIGITS)
        places = 10 ** torch.arange(length - 1, -1, -1, device=subject.device)
        errors = ((found - truth) * places).sum(1).abs().double()
        wrong = errors > 0
        return {
            "mae": errors.mean().item(),
            "exact": 1 - wrong.double().mean().item(),
            "mae_wrong": (errors.sum() / wrong.sum().clamp(min=1)).item(),
            "digit_error": (found - truth).abs().double().mean().item(),
        }
