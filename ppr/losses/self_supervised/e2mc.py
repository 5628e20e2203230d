"""E2MC: NT-Xent with a term that spreads each coordinate of the embeddings evenly over [0, 1].

Paper: Chakraborty et al., "Improving Pre-Trained Self-Supervised Embeddings Through Effective
Entropy Maximization", 2024, arXiv:2411.15931. A term for the last epochs of a trained encoder. With
u = sigmoid(z), or Phi(z) with `map: gaussian` (the normal CDF), of n samples, d coordinates, and
u_(1) <= ... <= u_(n) a coordinate in order:

    H = 1/d sum_k 1/(n-m) sum_i log( (n+1)/m (u_(i+m),k - u_(i),k) + 1e-7 ),    m = round(sqrt n)
    C = 1/d sum_{j != k} cov(u)_jk^2
    L = NT-Xent(z) - entropy H + covariance C

H is Vasicek's m-spacing estimate of the mean entropy of a coordinate: at most 0 in truth, but up to
log((n+1)/(n-m)) for samples in clumps of m, to whose inside it is blind. H and C are of each view,
and their means over views are taken. As in a public file of the criterion (`max_ent_criterion`; the
index that it was found by names no repository), which adds the views up, and to another base loss;
it gives no weights.

Shapes: embeddings [N, V, D] or [N, D] (of which NT-Xent is 0); labels are ignored. Half precision
is computed in float32. A batch of fewer than two has no spacings, and H and C are 0.

Raises ValueError for embeddings of another rank.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ppr.fields import Literal, NonNegative, Positive
from ppr.losses._batch import in_full_precision, widen
from ppr.losses.contrastive.supcon import supcon
from ppr.registry import component

ROOM = 1e-7
"""Added to a spacing, so that equal samples have a logarithm."""


def spacing_entropy(u: Tensor, m: int | None = None) -> Tensor:
    """H of u [..., n, d], over the last two dimensions; 0 for fewer than two samples."""
    n = u.shape[-2]
    m = m or round(math.sqrt(n))
    if n <= m:
        return u.sum((-2, -1)) * 0
    ordered = u.sort(-2).values
    spacings = ordered[..., m:, :] - ordered[..., : n - m, :]
    return (spacings * ((n + 1) / m) + ROOM).log().mean((-2, -1))


def off_diagonal_covariance(u: Tensor) -> Tensor:
    """C of u [..., n, d]; 0 for fewer than two samples."""
    n, d = u.shape[-2:]
    if n < 2:
        return u.sum((-2, -1)) * 0
    centred = u - u.mean(-2, keepdim=True)
    covariance = centred.mT @ centred / (n - 1)
    return (covariance.square().sum((-2, -1)) - covariance.diagonal(0, -2, -1).square().sum(-1)) / d


@component("loss", family="contrastive")
class E2MCLoss(nn.Module):
    def __init__(
        self,
        *,
        entropy: NonNegative = 1.0,
        covariance: NonNegative = 1.0,
        map: Literal["sigmoid", "gaussian"] = "sigmoid",
        temperature: Positive = 0.5,
    ) -> None:
        super().__init__()
        self.entropy = entropy
        self.covariance = covariance
        self.map = torch.sigmoid if map == "sigmoid" else torch.special.ndtr
        self.temperature = temperature

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        del labels
        contrast = supcon(embeddings, temperature=self.temperature)
        z = widen(embeddings)
        u = self.map(z.transpose(0, 1) if z.dim() == 3 else z)
        entropy = spacing_entropy(u).mean()
        covariance = in_full_precision(off_diagonal_covariance, u).mean()
        return contrast - self.entropy * entropy + self.covariance * covariance
