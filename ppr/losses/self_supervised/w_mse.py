"""W-MSE: views of a sample are drawn together after each is whitened, so that nothing can collapse.

Paper: Ermolov et al., "Whitening for Self-Supervised Representation Learning", ICML 2021,
arXiv:2007.06346. For V views of each of N samples, z the whitened embeddings:

    L = 2 / (N V (V-1)) sum_n sum_{i<j} dist(z_ni, z_nj)                                         (5)
    z = W (v - mean),  W'W = C^-1,  C = 1/(n-1) sum (v - mean)(v - mean)'

with dist the squared Euclidean distance of the z made unit vectors, 2 - 2 cos, or of the z
themselves with `normalise: false`. W is the inverse of C's Cholesky factor. As in the authors' code
(github.com/htdt/self-supervised, methods/w_mse.py and whitening.py):

- each view is whitened by itself, in sub-batches of about twice the width, the same samples
  together in every view; `sub_batch` is the least size of one, None whitens the batch as a whole;
- `iterations` partitions of the batch into sub-batches are averaged;
- C is shrunk to (1 - eps) C + eps I.

Without normalising, that code takes the mean over the width, where this follows the equation. There
are no running statistics. The partitions are fixed: batches come in a random order already.
`whiten: false` is plain (normalised) MSE, whose minimum is a constant embedding.

Shapes: embeddings [N, V, D], or [N, D], which holds no pair and gives 0; labels are ignored. Half
precision is computed in float32. Fewer than two samples cannot be whitened and give 0. Where C is
not positive definite (dead units, without eps) the loss is NaN.

Raises ValueError for embeddings of another rank, BadRequest for sub-batches of no more than D
samples without eps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Fraction, Ge
from ppr.losses._batch import in_full_precision, widen
from ppr.registry import component


def whiten(v: Tensor, *, eps: float = 0.0) -> Tensor:
    """The rows of v [..., n, D] with mean 0 and, for eps = 0, covariance I."""
    samples, width = v.shape[-2:]
    if eps == 0 and samples <= width:
        cannot = f"{samples} samples cannot be whitened in {width} dimensions"
        raise BadRequest(f"loss.eps=0: {cannot}; use more samples, or eps above 0")
    return in_full_precision(lambda x: _whiten(x, eps), v)


def _whiten(v: Tensor, eps: float) -> Tensor:
    centred = v - v.mean(-2, keepdim=True)
    covariance = centred.mT @ centred / (v.shape[-2] - 1)
    identity = torch.eye(v.shape[-1], dtype=v.dtype, device=v.device)
    factor, failed = torch.linalg.cholesky_ex((1 - eps) * covariance + eps * identity)
    z = torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT
    # NaN, which stops a run with a word of it, rather than an error that makes a GPU wait.
    return torch.where(failed[..., None, None] == 0, z, torch.nan)


def view_distance(z: Tensor) -> Tensor:
    """Mean over samples and pairs of views of the squared distance, of z [V, N, D]."""
    views, samples = z.shape[:2]
    # sum_{i<j} |z_i - z_j|^2 = V sum_i |z_i - mean|^2
    spread = (z - z.mean(0)).square().sum() * views
    return spread * (2 / (samples * views * (views - 1)))


def partitions(samples: int, least: int | None, iterations: int, like: Tensor) -> list[Tensor]:
    """Sample numbers of the sub-batches of all iterations, each of `least` or more."""
    parts = max(1, samples // (least or samples))
    found: list[Tensor] = []
    for iteration in range(iterations if parts > 1 else 1):
        # A generator of its own, on the CPU: the same partitions on every device of a run.
        random = torch.Generator().manual_seed(iteration)
        order = torch.randperm(samples, generator=random).to(like.device)
        found.extend(order.tensor_split(parts))
    return found


@component("loss", family="contrastive")
class WMSELoss(nn.Module):
    def __init__(
        self,
        *,
        whiten: bool = True,
        sub_batch: Annotated[int, Ge(2)] | None = None,
        iterations: Count = 1,
        normalise: bool = True,
        eps: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.whiten = whiten
        self.sub_batch = sub_batch
        self.iterations = iterations
        self.normalise = normalise
        self.eps = eps

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        del labels
        if embeddings.dim() not in (2, 3):
            raise ValueError(f"embeddings {tuple(embeddings.shape)}: expected [N, V, D] or [N, D]")
        samples = len(embeddings)
        v = widen(embeddings)
        if embeddings.dim() == 2 or embeddings.shape[1] < 2 or samples < 2:
            return v.sum() * 0
        v = v.transpose(0, 1)
        if not self.whiten:
            return self._distance(v)
        parts = partitions(samples, self.sub_batch, self.iterations, v)
        # Weighted by size: the mean over samples, where sub-batches differ by one.
        losses = [self._distance(whiten(v[:, rows], eps=self.eps)) * len(rows) for rows in parts]
        return torch.stack(losses).sum() / sum(map(len, parts))

    def _distance(self, z: Tensor) -> Tensor:
        return view_distance(F.normalize(z, dim=-1) if self.normalise else z)
