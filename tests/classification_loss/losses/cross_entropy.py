"""The loss `cross_entropy` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows

VARIATIONS = ({}, {"label_smoothing": 0.1})


def reference(logits: Rows, target: Sequence[int] | Rows, *, label_smoothing: float = 0.0) -> float:
    total = 0.0
    for x, t in zip(logits, target, strict=True):
        classes = len(x)
        q = [float(k == t) for k in range(classes)] if isinstance(t, int) else t
        q = [(1 - label_smoothing) * share + label_smoothing / classes for share in q]
        partition = sum(math.exp(value) for value in x)
        total -= sum(
            share * math.log(math.exp(value) / partition) for share, value in zip(q, x, strict=True)
        )
    return total / max(1, len(logits))
