"""The loss `bounded_effort` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

VARIATIONS = ({"weight": 0.3}, {"weight": 0.9}, {})


def reference(
    logits: Sequence[Sequence[Sequence[float]]],
    target: Sequence[int],
    group: Sequence[int],
    *,
    weight: float = 0.0,
) -> float:
    """The docstring's equation, with sums over the samples of each group."""
    count = max(1, len(target))
    error = unfair = 0.0
    cost = []
    for (now, after), y in zip(logits, target, strict=True):
        f = 1 / (1 + math.exp(now[0] - now[1]))
        error -= (y * math.log(f) + (1 - y) * math.log(1 - f)) / count
        p = 1 / (1 + math.exp(after[0] - after[1]))
        cost.append(-math.log(p) if f < 0.5 else None)
    overall = sum(c for c in cost if c is not None) / count
    for z in set(group):
        own = [c for c, g in zip(cost, group, strict=True) if g == z]
        rejected = [c for c in own if c is not None]
        if rejected:
            unfair += abs(sum(rejected) / len(own) - overall)
    return (1 - weight) * error + weight * unfair
