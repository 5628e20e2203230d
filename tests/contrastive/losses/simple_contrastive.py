"""The loss `simple_contrastive` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, dot, unit

VARIATIONS = ({}, {"weight": 2.5}, {"hardest": 0.3})


def reference(
    embeddings: Sequence[Rows],
    labels: Sequence[int] | None,
    *,
    weight: float = 1.0,
    hardest: float = 1.0,
) -> float:
    """arXiv:2012.09740: mean similarity of the hardest negatives, less that of the positives."""
    del labels
    views = [(sample, unit(view)) for sample, row in enumerate(embeddings) for view in row]
    if len(embeddings) < 2 or len(views) < 2 * len(embeddings):
        return 0.0
    total = 0.0
    for number, (sample, z) in enumerate(views):
        rest = [(other, dot(z, x)) for j, (other, x) in enumerate(views) if j != number]
        positives = [s for other, s in rest if other == sample]
        negatives = sorted((s for other, s in rest if other != sample), reverse=True)
        negatives = negatives[: math.ceil(hardest * len(negatives))]
        total += weight * sum(negatives) / len(negatives) - sum(positives) / len(positives)
    return total / len(views)
