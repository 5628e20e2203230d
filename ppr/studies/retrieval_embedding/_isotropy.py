"""Post-processing of vectors that makes their distribution isotropic, and how isotropic it is.

Jung et al., "Isotropic Representation Can Improve Dense Retrieval", arXiv:2209.00218. Whitening
maps x to (x - mu) U L^-1/2, with mu the mean and U L U^T the covariance of the documents; queries
are mapped by the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def processed(documents: Tensor, vectors: Tensor, form: str, keep: int | None = None) -> Tensor:
    """`vectors` [N, D] processed by the documents' moments; whitened, by the `keep` widest axes."""
    if form == "raw":
        return vectors
    mean = documents.mean(0)
    if form == "centred":
        return vectors - mean
    variance, axes = torch.linalg.eigh(torch.cov(documents.T, correction=0))
    order = variance.argsort(descending=True)[:keep]
    whitened: Tensor = (vectors - mean) @ axes[:, order] * variance[order].rsqrt()
    return whitened


def mean_cosine(vectors: Tensor) -> float:
    """Of all pairs of two different vectors; 0 for an isotropic distribution."""
    unit = F.normalize(vectors)
    count = len(unit)
    return float((unit.sum(0).square().sum() - count) / (count * (count - 1)))
