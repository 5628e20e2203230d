"""The loss `squentropy` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({},)


def reference(logits: Rows, target: Sequence[int]) -> float:
    """arXiv:2302.03952."""
    total = 0.0
    for x, y in zip(logits, target, strict=True):
        wrong = [f for j, f in enumerate(x) if j != y]
        total += -math.log(softmax(x)[y]) + sum(f * f for f in wrong) / len(wrong)
    return total / max(1, len(logits))
