"""The loss `ohem` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"keep": 0.5, "per": "foreground"}, {"keep": 1.0})


def reference(
    logits: Rows, target: Sequence[int], *, keep: float = 0.25, per: str = "sample"
) -> float:
    losses = [-math.log(softmax(x)[t]) for x, t in zip(logits, target, strict=True)]
    kept = sorted(losses, reverse=True)[: math.ceil(keep * len(losses))]
    count = len(kept) if per == "sample" else sum(t > 0 for t in target)
    return sum(kept) / max(1, count)
