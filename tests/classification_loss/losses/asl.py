"""The loss `asl` by its equation."""

from __future__ import annotations

import math

from tests.losses.vectors import Rows

VARIATIONS = (
    {"detach": False},
    {"gamma_positive": 1.0, "clip": 0.2, "detach": False},
    {"gamma_positive": 0.5, "gamma_negative": 0.5, "clip": 0.0, "detach": False},
    {"gamma_negative": 0.0, "clip": 0.0, "detach": False},
)


def reference(
    logits: Rows,
    target: Rows,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
    detach: bool,
) -> float:
    """arXiv:2009.14119, its loss of one label, summed over labels and averaged over samples."""
    assert not detach  # which has the same value and another gradient
    total = 0.0
    for row, labels in zip(logits, target, strict=True):
        for z, y in zip(row, labels, strict=True):
            p = 1 / (1 + math.exp(-z))
            shifted = max(p - clip, 0.0)
            total -= y * (1 - p) ** gamma_positive * math.log(p)
            total -= (1 - y) * shifted**gamma_negative * math.log(1 - shifted)
    return total / max(1, len(logits))
