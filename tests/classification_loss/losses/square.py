"""The loss `square` by its equation."""

from __future__ import annotations

from collections.abc import Sequence

from tests.losses.vectors import Rows

VARIATIONS = ({}, {"weight": 2.0, "height": 15.0})


def reference(
    logits: Rows, target: Sequence[int], *, weight: float = 1.0, height: float = 1.0
) -> float:
    """arXiv:2006.07322, the rescaled square loss."""
    total = 0.0
    for x, y in zip(logits, target, strict=True):
        own = weight * (x[y] - height) ** 2
        total += (own + sum(f * f for j, f in enumerate(x) if j != y)) / len(x)
    return total / max(1, len(logits))
