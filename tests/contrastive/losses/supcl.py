"""The loss `supcl` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, dot, unit

VARIATIONS = ({}, {"alpha": 0.0}, {"temperature": 0.02})


def reference(
    embeddings: Sequence[Rows],
    labels: Sequence[int] | None,
    *,
    alpha: float = 0.5,
    temperature: float = 0.1,
) -> float:
    """arXiv:2503.08203: means over pairs of views, of one sample (self included) and of a class."""
    views = [(sample, unit(view)) for sample, row in enumerate(embeddings) for view in row]
    own, other = [], []
    for sample_i, z_i in views:
        partition = math.fsum(math.exp(dot(z_i, z) / temperature) for _, z in views)
        for sample_j, z_j in views:
            term = math.log(partition) - dot(z_i, z_j) / temperature
            if sample_i == sample_j:
                own.append(term)
            elif labels is not None and labels[sample_i] == labels[sample_j]:
                other.append(term)
    means = [sum(terms) / max(1, len(terms)) for terms in (other, own)]
    return (1 - alpha) * means[0] + alpha * means[1]
