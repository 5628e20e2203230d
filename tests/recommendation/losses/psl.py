"""The loss `psl` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

VARIATIONS = ({}, {"surrogate": "tanh"}, {"surrogate": "atan", "temperature": 0.7})


def reference(
    positive: Sequence[float],
    negative: Sequence[Sequence[float]],
    *,
    surrogate: str = "relu",
    temperature: float = 0.1,
) -> float:
    """(4.1) of the paper, each user's sum over j as a mean."""
    s = {
        "tanh": lambda d: math.tanh(d) + 1,
        "relu": lambda d: max(0.0, d + 1),
        "atan": lambda d: math.atan(d) + 1,
    }[surrogate]
    total = 0.0
    for p, row in zip(positive, negative, strict=True):
        total += math.log(math.fsum(s((n - p) / 2) ** (1 / temperature) for n in row) / len(row))
    return total / max(1, len(positive))
