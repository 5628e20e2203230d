"""Drawn samples against those of the measured split: maximum mean discrepancy, Frechet distance.

Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, equation 3: with m samples X, n data Y and
the kernel k(x, y) = sum_b exp(-|x - y|^2 / (2 b^2)) over the `bandwidths`, without bias (so it may
be below 0),

    mmd2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)      pairs of two samples, x != x'

The Frechet distance of two Gaussians with the means and covariances of X and Y, on the samples'
entries themselves and not on an Inception network's features, so it is no FID:

    frechet = |mu_X - mu_Y|^2 + tr(C_X + C_Y - 2 (C_X C_Y)^(1/2))

`samples` are drawn by way of the noise `levels` (none: in one step), by the task's own sampler.
`floor_mmd2` and `floor_frechet` are those of as many training samples, in the place of X.

Raises BadRequest for a task that does not generate, RunFailed for NaN or infinite samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.fields import Annotated, Ge, NonNegative, Positive
from ppr.registry import component

WHERE = "evaluator.generated"


@component("evaluator")
class Generated:
    def __init__(
        self,
        *,
        samples: Annotated[int, Ge(2)] = 1000,
        levels: list[NonNegative] | None = None,
        bandwidths: list[Positive] | None = None,
    ) -> None:
        self.samples = samples
        self.levels = list(levels or ())
        self.bandwidths = list(bandwidths or (0.05, 0.1, 0.2, 0.4))

    def protocol(self) -> dict[str, object]:
        return {"samples": self.samples, "levels": self.levels, "bandwidths": self.bandwidths}

    def __call__(self, subject: Subject) -> dict[str, float]:
        drawn = subject.samples(self.samples, self.levels, WHERE).flatten(1).double()
        data = _entries(subject, subject.target_split)
        train = _entries(subject, "train")
        if min(len(data), len(train)) < 2:
            raise BadRequest(f"{WHERE}: needs two samples of each split to compare")
        random = subject.generator("floor", "cpu")
        chosen = torch.randperm(len(train), generator=random)[: self.samples]
        other = train[chosen.to(train.device)]
        return {
            "mmd2": mmd2(drawn, data, self.bandwidths),
            "frechet": frechet(drawn, data),
            "floor_mmd2": mmd2(other, data, self.bandwidths),
            "floor_frechet": frechet(other, data),
        }


def mmd2(x: Tensor, y: Tensor, bandwidths: Sequence[float]) -> float:
    """The unbiased estimate from samples [M, D] and [N, D]."""

    def total(a: Tensor, b: Tensor) -> Tensor:
        squares = torch.cdist(a, b).square_()
        return torch.stack([(squares / (-2 * width**2)).exp_().sum() for width in bandwidths]).sum()

    def within(a: Tensor) -> Tensor:
        return (total(a, a) - len(bandwidths) * len(a)) / (len(a) * (len(a) - 1))

    return (within(x) + within(y) - 2 * total(x, y) / (len(x) * len(y))).item()


def frechet(x: Tensor, y: Tensor) -> float:
    """Of the Gaussians with the samples' means and (unbiased) covariances."""
    c, d = x.T.cov().view(x.shape[1], -1), y.T.cov().view(x.shape[1], -1)
    # The eigenvalues of a product of two covariances are not negative, but for rounding.
    root = torch.linalg.eigvals(c @ d).real.clamp(min=0).sqrt().sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return float(means + c.trace() + d.trace() - 2 * root)


def _entries(subject: Subject, split: str) -> Tensor:
    return torch.cat([ready for ready, _ in subject.batches(split)]).flatten(1).double()
