"""The loss `e2mc` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.contrastive.losses import ntxent
from tests.losses.vectors import Rows

BATCH = "multi-view"
VARIATIONS = (
    {},
    {"map": "gaussian", "entropy": 3.0, "covariance": 0.0},
    {"entropy": 0.0, "covariance": 10.0, "temperature": 0.2},
)


def reference(
    embeddings: Sequence[Rows],
    labels: object,
    *,
    entropy: float = 1.0,
    covariance: float = 1.0,
    map: str = "sigmoid",
    temperature: float = 0.5,
) -> float:
    """arXiv:2411.15931, a coordinate and a pair of coordinates at a time; means over views."""
    total = ntxent.reference(embeddings, labels, temperature=temperature)
    views = len(embeddings[0]) if embeddings else 0
    for view in range(views):
        u = [[_mapped(x, map) for x in sample[view]] for sample in embeddings]
        total += (covariance * _covariance(u) - entropy * _entropy(u)) / views
    return total


def _mapped(x: float, map: str) -> float:
    return 1 / (1 + math.exp(-x)) if map == "sigmoid" else 0.5 * math.erfc(-x / math.sqrt(2))


def _entropy(u: Rows) -> float:
    n, d = len(u), len(u[0])
    m = round(math.sqrt(n))
    if n == m:
        return 0.0
    total = 0.0
    for k in range(d):
        x = sorted(row[k] for row in u)
        logs = [math.log((n + 1) / m * (x[i + m] - x[i]) + 1e-7) for i in range(n - m)]
        total += sum(logs) / (n - m) / d
    return total


def _covariance(u: Rows) -> float:
    n, d = len(u), len(u[0])
    if n < 2:
        return 0.0
    means = [sum(row[k] for row in u) / n for k in range(d)]
    total = 0.0
    for j in range(d):
        for k in range(d):
            if j != k:
                products = [(row[j] - means[j]) * (row[k] - means[k]) for row in u]
                total += (sum(products) / (n - 1)) ** 2
    return total / d
