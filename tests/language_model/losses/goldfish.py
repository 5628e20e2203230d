"""The loss `goldfish` by its equation; the hash in Python's integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({"context": 1}, {"context": 2, "k": 2}, {"k": 2, "strategy": "static"}, {})


def dropped(tokens: Sequence[int], i: int, k: int, context: int) -> bool:
    if i < context:
        return False
    key = 0
    for token in tokens[i - context : i]:
        key = key * 1_103_515_245 + token + 1
    return key**2 * 1_583_458_089 % (2**31 - 1) < (2**31 - 1) / k


def reference(
    outputs: Sequence[Rows],
    targets: Sequence[Sequence[int]],
    mask: Sequence[Sequence[bool]],
    *,
    k: int = 4,
    context: int = 13,
    strategy: str = "hash",
) -> float:
    """arXiv:2406.10209."""
    terms = []
    for text, tokens, counts in zip(outputs, targets, mask, strict=True):
        for i, (z, token) in enumerate(zip(text, tokens, strict=True)):
            out = i % k == k - 1 if strategy == "static" else dropped(tokens, i, k, context)
            if counts[i] and not out:
                terms.append(-math.log(softmax(z)[token]))
    return math.fsum(terms) / max(1, len(terms))
