"""The loss `isogclr` by its equation, where no state is kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, dot, unit

BATCH = "contrastive"
VARIATIONS = ({}, {"start": 0.05, "rho": 0.0}, {"start": 1.0})


def reference(
    embeddings: Sequence[Rows], labels: object, *, rho: float = 0.4, start: float = 0.1
) -> float:
    """arXiv:2305.11965: the robust objective at one temperature, mean over samples and views."""
    z = [[unit(view) for view in sample] for sample in embeddings]
    if len(z) < 2:
        return 0.0
    total = 0.0
    for i, sample in enumerate(z):
        negatives = [view for j, other in enumerate(z) if j != i for view in other]
        for view in sample:
            g = sum(math.exp(dot(view, other) / start) for other in negatives) / len(negatives)
            total += start * (math.log(g) + rho) / len(sample)
        pairs = list(itertools.combinations(sample, 2))
        total -= sum(dot(a, b) for a, b in pairs) / len(pairs)
    return total / len(z)
