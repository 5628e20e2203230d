"""The loss `equal_improvability` by its equations."""

from __future__ import annotations

import math
from collections.abc import Sequence

VARIATIONS = (
    {"weight": 0.3},
    {"penalty": "loss", "weight": 0.7},
    {"penalty": "kde", "weight": 0.5, "bandwidth": 0.2, "huber": 0.05},
    {},
)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def reference(
    logits: Sequence[Sequence[Sequence[float]]],
    target: Sequence[int],
    group: Sequence[int],
    *,
    penalty: str = "covariance",
    weight: float = 0.0,
    bandwidth: float = 0.01,
    huber: float = 0.5,
) -> float:
    """The docstring's equations, with sums over the rejected samples of each group."""
    accepted = [_sigmoid(now[1] - now[0]) for now, _ in logits]
    error = sum(
        -y * math.log(f) - (1 - y) * math.log(1 - f) for f, y in zip(accepted, target, strict=True)
    ) / max(1, len(target))
    rejected = [i for i, f in enumerate(accepted) if f < 0.5]
    if not rejected:
        return (1 - weight) * error
    after = {i: _sigmoid(logits[i][1][1] - logits[i][1][0]) for i in rejected}
    if penalty == "covariance":
        mean = sum(group[i] for i in rejected) / len(rejected)
        unfair = (sum((group[i] - mean) * after[i] for i in rejected) / len(rejected)) ** 2
        return (1 - weight) * error + weight * unfair
    if penalty == "loss":
        value = {i: -math.log(p) for i, p in after.items()}
    else:
        value = {i: 0.5 * math.erfc((0.5 - p) / bandwidth / math.sqrt(2)) for i, p in after.items()}
    overall = sum(value.values()) / len(value)
    unfair = 0.0
    for z in {group[i] for i in rejected}:
        own = [value[i] for i in rejected if group[i] == z]
        gap = abs(sum(own) / len(own) - overall)
        if penalty == "loss":
            unfair += gap
        else:
            unfair += gap**2 / 2 if gap <= huber else huber * (gap - huber / 2)
    return (1 - weight) * error + weight * unfair
