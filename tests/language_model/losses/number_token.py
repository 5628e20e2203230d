"""The loss `number_token` by its equations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"variant": "mse", "weight": 1.0}, {"zero": 2})


def reference(
    outputs: Sequence[Rows],
    targets: Sequence[Sequence[int]],
    mask: Sequence[Sequence[bool]],
    *,
    variant: str = "wasserstein",
    weight: float = 0.3,
    zero: int = 0,
) -> float:
    entropies, distances = [], []
    for text, tokens, counts in zip(outputs, targets, mask, strict=True):
        for z, token, count in zip(text, tokens, counts, strict=True):
            if not count:
                continue
            entropies.append(-math.log(softmax(z)[token]))
            y = token - zero
            if 0 <= y <= 9:
                p = softmax(z[zero : zero + 10])
                if variant == "mse":
                    distances.append((y - sum(j * share for j, share in enumerate(p))) ** 2)
                else:
                    distances.append(sum(abs(y - j) * share for j, share in enumerate(p)))
    means = [sum(terms) / max(1, len(terms)) for terms in (entropies, distances)]
    return means[0] + weight * means[1]
