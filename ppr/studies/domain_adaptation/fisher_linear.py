"""Merging least-squares fits by their Fisher information against the fit to all data.

Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", 2021, equation 2, where it is
exact: y = X theta + noise has the Fisher information X' X / s^2, whatever theta, and a Gaussian
likelihood, which Laplace's approximation does not change. Of two data sets with fits theta_1 and
theta_2, of N_1 and N_2 samples, and F_i = X_i' X_i,

    merged = (F_1 + F_2)^-1 (F_1 theta_1 + F_2 theta_2) = the fit to both

The diagonals of F_1 and F_2 alone are enough where the columns of each X_i are orthogonal. A mean
Fisher information, F_i / N_i, needs the coefficients N_i / (N_1 + N_2).

Metrics, distances from the fit to both relative to its length: `error/full`, `error/diagonal`,
`error/orthogonal` (diagonal, of data with orthogonal columns), `error/mean` (full, of mean
information, coefficients 1/2), `error/weighted` (with the right ones), `error/average`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, Positive
from ppr.registry import component
from ppr.studies.study import Study


@component("task")
class FisherLinear(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        samples: list[Count] | None = None,
        features: Count = 8,
        noise: Positive = 1.0,
    ) -> None:
        super().__init__(bench)
        self.samples = samples or [120, 40]
        self.features, self.noise = features, noise

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(torch.device("cpu"), self.bench.seed, "linear")

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        truth = normal(self.features)
        mixing = normal(self.features, self.features)
        inputs = [normal(n, self.features) @ mixing for n in self.samples]
        scales = [1 + normal(self.features).abs() for _ in self.samples]
        orthogonal = [torch.linalg.qr(x).Q * scale for x, scale in zip(inputs, scales, strict=True)]
        targets = [x @ truth + self.noise * normal(len(x)) for x in inputs]
        full = [x.T @ x for x in inputs]
        mean = [fisher / n for fisher, n in zip(full, self.samples, strict=True)]
        share = [n / sum(self.samples) for n in self.samples]
        weighted = [c * fisher for c, fisher in zip(share, mean, strict=True)]
        flat = [torch.eye(self.features, dtype=torch.float64)] * 2
        diagonal = [fisher.diag().diag() for fisher in full]
        apart = [(x.T @ x).diag().diag() for x in orthogonal]
        return {
            "error": {
                "full": error(inputs, targets, full),
                "diagonal": error(inputs, targets, diagonal),
                "orthogonal": error(orthogonal, targets, apart),
                "mean": error(inputs, targets, mean),
                "weighted": error(inputs, targets, weighted),
                "average": error(inputs, targets, flat),
            }
        }


def error(inputs: list[Tensor], targets: list[Tensor], fishers: list[Tensor]) -> float:
    """How far the fits to each data set, merged by `fishers`, are from the fit to all."""
    fits = [torch.linalg.lstsq(x, y).solution for x, y in zip(inputs, targets, strict=True)]
    pulls = [fisher @ fit for fisher, fit in zip(fishers, fits, strict=True)]
    merged = torch.linalg.solve(torch.stack(fishers).sum(0), torch.stack(pulls).sum(0))
    joint = torch.linalg.lstsq(torch.cat(inputs), torch.cat(targets)).solution
    return float((merged - joint).norm() / joint.norm())
