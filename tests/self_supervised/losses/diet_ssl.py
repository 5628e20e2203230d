"""The loss `diet_ssl` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tests.losses.vectors import Rows, dot, softmax

VARIATIONS = ({"features": 4}, {"features": 4, "smoothing": 0.0})
SAMPLES, WIDTH = 7, 4
SEEN = (torch.zeros(SAMPLES, dtype=torch.long), 1)


def weight(sample: int) -> list[float]:
    return [((3 * sample + 5 * k) % 11 - 5) / 8 for k in range(WIDTH)]


def settle(loss: Any) -> None:
    with torch.no_grad():
        loss.classifier.weight.copy_(torch.tensor([weight(n) for n in range(SAMPLES)]))


def reference(
    embeddings: Sequence[Rows],
    labels: object,
    indices: Sequence[int],
    *,
    features: int,
    smoothing: float = 0.8,
) -> float:
    """Cross-entropy with smoothed targets over all training samples, mean over views."""
    total, count = 0.0, 0
    for sample, views in zip(indices, embeddings, strict=True):
        for view in views:
            p = softmax([dot(view, weight(n)) for n in range(SAMPLES)])
            target = [smoothing / SAMPLES + (1 - smoothing) * (n == sample) for n in range(SAMPLES)]
            total -= sum(t * math.log(q) for t, q in zip(target, p, strict=True))
            count += 1
    return total / max(1, count)
