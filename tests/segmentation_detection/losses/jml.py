"""The loss `jml` by its equations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = (
    {},
    {"variant": "jml2", "labels": "uniform"},
    {"variant": "soft", "smooth": 0.1, "cross_entropy": 0.0},
    {"labels": "uniform", "epsilon": 0.1},
)


def reference(
    outputs: Sequence[Rows],
    targets: Sequence[Sequence[int]],
    mask: Sequence[Sequence[bool]],
    *,
    variant: str = "jml1",
    cross_entropy: float = 0.25,
    smooth: float = 1.0,
    labels: str = "hard",
    epsilon: float = 0.5,
) -> float:
    """arXiv:2302.05666, by minima and maxima; the classes present, or all where labels are soft."""
    e = epsilon if labels == "uniform" else 0.0
    entropy, pixels = 0.0, []
    for text, tokens, counts in zip(outputs, targets, mask, strict=True):
        for z, t, count in zip(text, tokens, counts, strict=True):
            if count:
                x, classes = softmax(z), len(z)
                y = [(1 - e) * (k == t) + e / classes for k in range(classes)]
                pixels.append((x, y))
                entropy -= sum(b * math.log(a) for a, b in zip(x, y, strict=True) if b)
    losses = []
    for k in range(len(pixels[0][0]) if pixels else 0):
        pairs = [(x[k], y[k]) for x, y in pixels]
        if not any(y for _, y in pairs):
            continue
        product = sum(x * y for x, y in pairs)
        if variant == "jml1":
            top, bottom = sum(map(min, pairs)), sum(map(max, pairs))
        else:
            top = product
            bottom = sum(x + y - x * y for x, y in pairs)
            if variant == "jml2":
                bottom = product + sum(abs(x - y) for x, y in pairs)
        losses.append(1 - (top + smooth) / (bottom + smooth))
    region = sum(losses) / max(1, len(losses))
    return cross_entropy * entropy / max(1, len(pixels)) + (1 - cross_entropy) * region
