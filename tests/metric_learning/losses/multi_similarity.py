"""The loss `multi_similarity` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.pairs import anchors, views_of
from tests.losses.vectors import Rows, cosines

VARIATIONS = ({}, {"mining": False}, {"beta": 50.0, "threshold": 1.0}, {"slack": 0.0})


def reference(
    embeddings: Sequence[Rows],
    labels: Sequence[int],
    *,
    alpha: float = 2.0,
    beta: float = 40.0,
    threshold: float = 0.5,
    mining: bool = True,
    slack: float = 0.1,
) -> float:
    """Wang et al. 2019, equations of the mining and of the loss."""
    views = views_of(embeddings, labels)
    rows = [view for view, _ in views]
    s = cosines(rows, rows)
    total = 0.0
    for i, positives, negatives in anchors(views):
        if mining:
            hardest = min(s[i][k] for k in positives), max(s[i][k] for k in negatives)
            kept = (
                [k for k in positives if s[i][k] < hardest[1] + slack],
                [k for k in negatives if s[i][k] > hardest[0] - slack],
            )
        else:
            kept = positives, negatives
        near = sum(math.exp(-alpha * (s[i][k] - threshold)) for k in kept[0])
        far = sum(math.exp(beta * (s[i][k] - threshold)) for k in kept[1])
        total += math.log1p(near) / alpha + math.log1p(far) / beta
    return total / max(1, len(views))
