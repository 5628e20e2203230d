"""The loss `apl` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = (
    {},
    {"passive": "mae", "alpha": 10.0, "beta": 0.1},
    {"active": "nfl", "passive": None},
    {"active": "nfl", "gamma": 2.0},
    {"active": None, "passive": "rce"},
)


def reference(
    logits: Rows,
    target: Sequence[int],
    *,
    active: str | None = "nce",
    passive: str | None = "rce",
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 0.5,
) -> float:
    """arXiv:2006.13554; reverse cross-entropy as a sum over classes, log 0 being log 1e-4."""
    total = 0.0
    for x, t in zip(logits, target, strict=True):
        p = softmax(x)
        if active == "nce":
            each = [-math.log(share) for share in p]
            total += alpha * each[t] / sum(each)
        elif active == "nfl":
            each = [-((1 - share) ** gamma) * math.log(share) for share in p]
            total += alpha * each[t] / sum(each)
        if passive == "mae":
            total += beta * (1 - p[t])
        elif passive == "rce":
            labels = [1.0 if k == t else 1e-4 for k in range(len(p))]
            total += beta * -sum(a * math.log(b) for a, b in zip(p, labels, strict=True))
    return total / max(1, len(logits))
