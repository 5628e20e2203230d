"""The loss `softmax_ranking` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

VARIATIONS = ({}, {"temperature": 1.5})


def reference(
    positive: Sequence[float], negative: Sequence[Sequence[float]], *, temperature: float = 0.2
) -> float:
    """(3.1) of the PSL paper, each user's sum over j as a mean."""
    total = 0.0
    for p, row in zip(positive, negative, strict=True):
        total += math.log(math.fsum(math.exp((n - p) / temperature) for n in row) / len(row))
    return total / max(1, len(positive))
