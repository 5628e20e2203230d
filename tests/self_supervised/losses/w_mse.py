"""The loss `w_mse` by its equation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tests.losses.vectors import Rows

BATCH = "multi-view"
VARIATIONS = (
    {"eps": 0.1},
    {"eps": 0.1, "normalise": False},
    {"eps": 1.0},
    {"whiten": False},
)


def reference(
    embeddings: Sequence[Rows],
    labels: object,
    *,
    whiten: bool = True,
    normalise: bool = True,
    eps: float = 0.0,
) -> float:
    """arXiv:2007.06346, equation 5, a pair at a time; the batch is one sub-batch."""
    samples, views = len(embeddings), len(embeddings[0]) if embeddings else 0
    if samples < 2:
        return 0.0
    z = [np.array([sample[view] for sample in embeddings]) for view in range(views)]
    if whiten:
        z = [_whitened(v, eps) for v in z]
    total = 0.0
    for n in range(samples):
        for i, j in itertools.combinations(range(views), 2):
            a, b = (v[n] / np.linalg.norm(v[n]) if normalise else v[n] for v in (z[i], z[j]))
            total += float(((a - b) ** 2).sum())
    return 2 * total / (samples * views * (views - 1))


def _whitened(v: np.ndarray, eps: float) -> np.ndarray:
    centred = v - v.mean(0)
    shrunk = (1 - eps) * np.cov(v.T) + eps * np.eye(v.shape[1])
    whitening = np.linalg.inv(np.linalg.cholesky(shrunk))
    return np.array([whitening @ row for row in centred])
