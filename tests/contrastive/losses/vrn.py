"""The loss `vrn` by its equation."""

from __future__ import annotations

import math

from tests.contrastive.losses import infonce
from tests.losses.vectors import Rows, cosines

VARIATIONS = ({}, {"samples": 3, "weight": 1.0})


def reference(
    a: Rows, b: Rows, *, samples: int = 50000, weight: float = 30.0, temperature: float = 0.2
) -> float:
    """Mean squared distance of the unmatched cosines from -1/samples, added to InfoNCE."""
    s = cosines(a, b)
    away = [(x + 1 / samples) ** 2 for i, row in enumerate(s) for j, x in enumerate(row) if i != j]
    term = math.fsum(away) / max(1, len(away))
    return infonce.reference(a, b, temperature=temperature) + weight * term
