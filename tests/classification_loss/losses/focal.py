"""The loss `focal` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = (
    {},
    {"alpha": None},
    {"gamma": 0.5},
    {"gamma": 0.0, "alpha": 0.75, "per": "foreground"},
)


def reference(
    logits: Rows,
    target: Sequence[int],
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    per: str = "sample",
) -> float:
    """arXiv:1708.02002, equation 5, with class 0 for the background."""
    total = 0.0
    for x, t in zip(logits, target, strict=True):
        p_t = softmax(x)[t]
        weight = 1.0 if alpha is None else alpha if t > 0 else 1 - alpha
        total += -weight * (1 - p_t) ** gamma * math.log(p_t)
    count = len(logits) if per == "sample" else sum(t > 0 for t in target)
    return total / max(1, count)
