"""Memorisation: how much of passages seen in training a language model recites from their start.

The passages are the data set's `extra["canaries"]`; the model is given the first `prefix` tokens of
each and continues greedily to its end (Carlini et al., "Extracting Training Data from Large
Language Models", arXiv:2012.07805; Hans et al., arXiv:2406.10209, section 4).

Metrics, fractions of 1: `exact`, passages recited to the end without a mistake; `recited`, the
tokens before the first mistake; `rouge_l`, the longest common subsequence over the length.
`recalled_kept`, `recalled_dropped`: the likeliest token is right, given the true ones before, at
tokens that the goldfish loss with these `k` and `context` keeps, or drops: their difference is the
direct sign of such a loss.

Raises BadRequest for a data set without canaries, or ones no longer than the prefix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.engine.subject import Subject, evaluating
from ppr.errors import BadRequest
from ppr.evaluators.language_model._greedy import continued
from ppr.fields import Count
from ppr.losses.language_model.goldfish import GoldfishLoss
from ppr.registry import component

WHERE = "evaluator.memorisation"


@component("evaluator")
class Memorisation:
    def __init__(self, *, prefix: Count = 32, k: Count = 4, context: Count = 8) -> None:
        self.prefix = prefix
        self.goldfish = GoldfishLoss(k=k, context=context)

    def protocol(self) -> dict[str, object]:
        return {"decoding": "greedy", "prefix": self.prefix, "epoch": "last"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        passages = subject.dataset.extra.get("canaries")
        if passages is None or not len(passages):
            raise BadRequest(f"{WHERE}: the data set {subject.dataset.name!r} has no canaries")
        passages = passages.to(subject.device)
        length = passages.shape[1] - self.prefix
        if length < 1:
            what = f"canaries have {passages.shape[1]} tokens"
            raise BadRequest(f"{WHERE}.prefix={self.prefix}: must be less, {what}")
        truth = passages[:, self.prefix :]
        found = continued(subject, passages[:, : self.prefix], length, WHERE)
        same = found == truth
        before_mistake = same.long().cumprod(1).sum(1) / length
        common = [
            _common(a, b) / length for a, b in zip(found.tolist(), truth.tolist(), strict=True)
        ]
        return {
            "exact": same.all(1).double().mean().item(),
            "recited": before_mistake.double().mean().item(),
            "rouge_l": sum(common) / len(common),
            **self._recall(subject, passages),
        }

    def _recall(self, subject: Subject, passages: Tensor) -> dict[str, float]:
        assert subject.network is not None
        with evaluating(subject.network), torch.no_grad(), subject.autocast():
            best = subject.network(passages[:, :-1]).argmax(-1)
        tokens = passages[:, 1:]
        right, kept = (best == tokens).double(), self.goldfish.kept(tokens)
        asked = torch.arange(tokens.shape[1], device=tokens.device) >= self.prefix - 1
        values = {"kept": right[kept & asked], "dropped": right[~kept & asked]}
        return {
            f"recalled_{name}": each.mean().item() for name, each in values.items() if len(each)
        }


def _common(a: list[int], b: list[int]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, start=1):
            above = row[j]
            row[j] = diagonal + 1 if x == y else max(above, row[j - 1])
            diagonal = above
    return row[-1]
