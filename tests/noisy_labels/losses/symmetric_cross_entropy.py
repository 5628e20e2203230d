"""The loss `symmetric_cross_entropy` by its equations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"alpha": 6.0, "beta": 0.1}, {"alpha": 0.0}, {"beta": 0.0})


def reference(
    logits: Rows, target: Sequence[int], *, alpha: float = 0.1, beta: float = 1.0
) -> float:
    """arXiv:1908.06112, of one-hot labels, log 0 being log 1e-4."""
    total = 0.0
    for row, y in zip(logits, target, strict=True):
        p = softmax(row)
        q = [1.0 if k == y else 0.0 for k in range(len(p))]
        ce = -sum(a * math.log(b) for a, b in zip(q, p, strict=True))
        rce = -sum(b * math.log(max(a, 1e-4)) for a, b in zip(q, p, strict=True))
        total += alpha * ce + beta * rce
    return total / max(1, len(logits))
