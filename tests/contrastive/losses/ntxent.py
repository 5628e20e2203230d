"""The loss `ntxent` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, dot, unit

VARIATIONS = ({}, {"temperature": 0.02}, {"base_temperature": 0.07})


def reference(
    embeddings: Sequence[Rows],
    labels: object,
    *,
    temperature: float = 0.5,
    base_temperature: float | None = None,
) -> float:
    """arXiv:2002.05709, equation 1, averaged over every ordered pair of views of one sample."""
    del labels
    views = [(sample, unit(view)) for sample, row in enumerate(embeddings) for view in row]
    terms = []
    for i, (sample_i, z_i) in enumerate(views):
        for j, (sample_j, z_j) in enumerate(views):
            if i != j and sample_i == sample_j:
                others = (z_k for k, (_, z_k) in enumerate(views) if k != i)
                partition = sum(math.exp(dot(z_i, z_k) / temperature) for z_k in others)
                terms.append(-math.log(math.exp(dot(z_i, z_j) / temperature) / partition))
    scale = 1 if base_temperature is None else temperature / base_temperature
    return scale * sum(terms) / max(1, len(terms))
