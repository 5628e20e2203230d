"""The loss `binomial_deviance` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.pairs import anchors, views_of
from tests.losses.vectors import Rows, cosines

VARIATIONS = ({}, {"beta": 5.0, "threshold": 0.0})


def reference(
    embeddings: Sequence[Rows],
    labels: Sequence[int],
    *,
    alpha: float = 2.0,
    beta: float = 40.0,
    threshold: float = 0.5,
) -> float:
    """arXiv:1407.4979 on cosines, each kind of pair averaged for each anchor."""
    views = views_of(embeddings, labels)
    rows = [view for view, _ in views]
    s = cosines(rows, rows)
    total = 0.0
    for i, positives, negatives in anchors(views):
        near = [math.log1p(math.exp(-alpha * (s[i][k] - threshold))) for k in positives]
        far = [math.log1p(math.exp(beta * (s[i][k] - threshold))) for k in negatives]
        total += sum(near) / len(near) + sum(far) / len(far)
    return total / max(1, len(views))
