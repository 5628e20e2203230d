"""The loss `dual_focal` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"gamma": 0.0}, {"gamma": 0.5})


def reference(logits: Rows, target: Sequence[int], *, gamma: float = 5.0) -> float:
    """arXiv:2305.13665, its loss of one sample, averaged."""
    total = 0.0
    for x, y in zip(logits, target, strict=True):
        p = softmax(x)
        below = max((q for q in p if q < p[y]), default=0.0)
        total -= (1 - p[y] + below) ** gamma * math.log(p[y])
    return total / max(1, len(logits))
