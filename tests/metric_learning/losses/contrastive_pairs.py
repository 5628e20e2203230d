"""The loss `contrastive_pairs` by its equation."""

from __future__ import annotations

from collections.abc import Sequence

from tests.losses.pairs import anchors, views_of
from tests.losses.vectors import Rows, cosines

VARIATIONS = ({}, {"margin": 0.0})


def reference(embeddings: Sequence[Rows], labels: Sequence[int], *, margin: float = 0.5) -> float:
    views = views_of(embeddings, labels)
    rows = [view for view, _ in views]
    s = cosines(rows, rows)
    total = 0.0
    for i, positives, negatives in anchors(views):
        total += sum(1 - s[i][k] for k in positives)
        total += sum(max(0.0, s[i][k] - margin) for k in negatives)
    return total / max(1, len(views))
