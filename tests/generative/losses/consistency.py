"""The loss `consistency` by its equation, of a prediction, its target and their levels."""

from __future__ import annotations

import math

from tests.losses.vectors import Rows

VARIATIONS = ({}, {"huber": 0.7}, {"distance": "squared_l2"})


def reference(
    prediction: Rows,
    target: Rows,
    levels: Rows,
    *,
    distance: str = "pseudo_huber",
    huber: float = 0.00054,
) -> float:
    """arXiv:2310.14189: lambda d, one d a sample, with lambda = 1 / (s_{i+1} - s_i)."""
    total = 0.0
    for a, b, (lower, upper) in zip(prediction, target, levels, strict=True):
        c = huber * math.sqrt(len(a))
        square = math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        d = square if distance == "squared_l2" else math.sqrt(square + c**2) - c
        total += d / (upper - lower)
    return total / max(1, len(prediction))
