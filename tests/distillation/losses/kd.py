"""The loss `kd` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"weight": 0.0}, {"weight": 1.0, "temperature": 1.0})


def reference(
    student: Rows,
    teacher: Rows,
    target: Sequence[int],
    *,
    temperature: float = 4.0,
    weight: float = 0.9,
) -> float:
    """arXiv:1503.02531, section 2."""
    total = 0.0
    for s, t, y in zip(student, teacher, target, strict=True):
        p = softmax([x / temperature for x in t])
        q = softmax([x / temperature for x in s])
        divergence = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        total += (1 - weight) * -math.log(softmax(s)[y]) + weight * temperature**2 * divergence
    return total / max(1, len(target))
