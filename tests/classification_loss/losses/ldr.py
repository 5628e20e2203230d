"""The loss `ldr` by its equation, without `alpha`: a lambda a sample is in tests/test_ldr.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows

VARIATIONS = (
    {},
    {"lam": 1.0, "margin": 0.0, "scores": "logits"},
    {"lam": 0.5, "margin": 1.0, "scores": "mean"},
)


def reference(
    logits: Rows,
    target: Sequence[int],
    *,
    lam: float = 10.0,
    margin: float = 0.1,
    scores: str = "softplus",
) -> float:
    """arXiv:2112.14869, the closed form of LDR-KL, averaged."""
    total = 0.0
    for z, y in zip(logits, target, strict=True):
        f = [math.log(1 + math.exp(x)) for x in z] if scores == "softplus" else list(z)
        scale = sum(abs(x) for x in f) / len(f) if scores != "logits" else 1.0
        f = [x / scale for x in f]
        terms = [math.exp((x - f[y] + margin * (k != y)) / lam) for k, x in enumerate(f)]
        total += lam * math.log(math.fsum(terms) / len(f))
    return total / max(1, len(logits))
