"""The loss `triplet` by its equations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.pairs import anchors, views_of
from tests.losses.vectors import Rows

BATCH = "multi-view"
VARIATIONS = (
    {},
    {"margin": 0.5},
    {"squared": True},
    {"mining": "all"},
    {"mining": "all", "margin": 0.2, "squared": True},
    {"mining": "all_nonzero", "margin": 0.2},
)


def reference(
    embeddings: Sequence[Rows],
    labels: Sequence[int],
    *,
    mining: str = "hard",
    margin: float | None = None,
    squared: bool = False,
) -> float:
    """arXiv:1703.07737, batch hard and batch all."""
    views = views_of(embeddings, labels)

    def distance(i: int, k: int) -> float:
        d = math.dist(views[i][0], views[k][0])
        return d * d if squared else d

    def cost(excess: float) -> float:
        return math.log1p(math.exp(excess)) if margin is None else max(0.0, margin + excess)

    costs = []
    for i, positives, negatives in anchors(views):
        if mining == "hard":
            farthest = max(distance(i, k) for k in positives)
            costs.append(cost(farthest - min(distance(i, k) for k in negatives)))
        else:
            costs += [cost(distance(i, p) - distance(i, n)) for p in positives for n in negatives]
    if mining == "all_nonzero":
        costs = [c for c in costs if c > 0]
    return sum(costs) / max(1, len(costs))
