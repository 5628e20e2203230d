"""The loss `ps_kd` by its equation, at the end of training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"alpha": 0.0}, {"alpha": 1.0})


def reference(student: Rows, teacher: Rows, target: Sequence[int], *, alpha: float = 0.8) -> float:
    """arXiv:2006.12000, with a = alpha."""
    total = 0.0
    for s, t, y in zip(student, teacher, target, strict=True):
        past, now = softmax(t), softmax(s)
        for c, p in enumerate(now):
            total -= ((1 - alpha) * (c == y) + alpha * past[c]) * math.log(p)
    return total / max(1, len(target))
