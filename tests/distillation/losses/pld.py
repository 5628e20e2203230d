"""The loss `pld` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"temperature": 4.0}, {"weights": "equal"})


def reference(
    student: Rows,
    teacher: Rows,
    target: Sequence[int],
    *,
    temperature: float = 1.0,
    weights: str = "teacher",
) -> float:
    """arXiv:2506.12542: one choice after another, from those that are left."""
    total = 0.0
    for s, t, y in zip(student, teacher, target, strict=True):
        shares = softmax([x / temperature for x in t])
        others = sorted((c for c in range(len(t)) if c != y), key=lambda c: -t[c])
        left = [y, *others]
        while left:
            chosen = left[0]
            probability = math.exp(s[chosen]) / sum(math.exp(s[c]) for c in left)
            weight = shares[chosen] if weights == "teacher" else 1 / len(t)
            total -= weight * math.log(probability)
            left = left[1:]
    return total / max(1, len(target))
