"""The loss `bpr` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

VARIATIONS: tuple[dict[str, float], ...] = ({},)


def reference(positive: Sequence[float], negative: Sequence[Sequence[float]]) -> float:
    """arXiv:1205.2618, section 4.1: -ln sigma(x_uij), x_uij = f(u, i) - f(u, j)."""
    terms = [
        -math.log(1 / (1 + math.exp(n - p))) / len(row)
        for p, row in zip(positive, negative, strict=True)
        for n in row
    ]
    return math.fsum(terms) / max(1, len(positive))
