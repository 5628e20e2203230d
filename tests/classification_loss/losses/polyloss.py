"""The loss `polyloss` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"epsilon": -1.0}, {"epsilon": 0.5, "gamma": 2.0})


def reference(
    logits: Rows, target: Sequence[int], *, epsilon: float = 1.0, gamma: float = 0.0
) -> float:
    """arXiv:2204.12511, Poly-1 of the focal loss, which is cross-entropy with gamma = 0."""
    total = 0.0
    for x, y in zip(logits, target, strict=True):
        p = softmax(x)[y]
        total += -((1 - p) ** gamma) * math.log(p) + epsilon * (1 - p) ** (gamma + 1)
    return total / max(1, len(logits))
