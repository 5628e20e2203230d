"""LDR-KL's maximum over the simplex and its three limits.

Zhu, Ying, Yang, "Label Distributionally Robust Losses for Multi-class Classification", ICML 2023,
arXiv:2112.14869. For random scores f (normal, of standard deviation 3) and a random class y,

    closed form    lambda log(1/K sum_k exp(m_k / lambda)),  m_k = f_k - f_y + c_ky
    maximum        of sum_k p_k m_k - lambda KL(p || uniform) over p: concave, by scipy's SLSQP
    lambda = 1     without a margin: cross-entropy - log K
    lambda -> 0    max_k m_k, the hinge; the closed form lies between it and it less lambda log K
    lambda -> inf  mean_k m_k over all K; the closed form lies above it by Var(m)/(2 lambda)

The closed form is that of the loss that runs train with, in float64.

Metrics, the largest over `samples`: `limits/maximum`, of |closed form - maximum| at lambda = 1;
`limits/cross_entropy`, of the difference; `limits/hinge` and `limits/mean_margin`, of the
differences at lambda = 1e-3 and 1e6.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, NonNegative
from ppr.losses.classification_loss.cross_entropy import CrossEntropyLoss
from ppr.losses.classification_loss.ldr import LDRLoss
from ppr.registry import component
from ppr.studies.study import Study

SPREAD = 3.0
SMALL, LARGE = 1e-3, 1e6


@component("task")
class LDRLimits(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        classes: Count = 10,
        samples: Count = 50,
        margin: NonNegative = 0.1,
    ) -> None:
        super().__init__(bench)
        self.classes = classes
        self.samples = samples
        self.margin = margin

    def measure(self) -> dict[str, dict[str, float]]:
        K = self.classes
        random = generator(torch.device("cpu"), self.bench.seed, "limits")
        scores = SPREAD * torch.randn(self.samples, K, dtype=torch.float64, generator=random)
        labels = torch.randint(K, (self.samples,), generator=random)
        off: dict[str, list[float]] = {}
        for f, y in zip(scores, labels, strict=True):
            m = f - f[y] + self.margin * (torch.arange(K) != y).to(f.dtype)
            cross_entropy = CrossEntropyLoss()(f[None], y[None]).item() - math.log(K)
            pairs = {
                "maximum": (self._loss(f, y, 1.0), _maximum(m.numpy())),
                "cross_entropy": (self._loss(f, y, 1.0, margin=0.0), cross_entropy),
                "hinge": (self._loss(f, y, SMALL), m.max().item()),
                "mean_margin": (self._loss(f, y, LARGE), m.mean().item()),
            }
            for name, (one, other) in pairs.items():
                off.setdefault(name, []).append(abs(one - other))
        return {"limits": {name: max(values) for name, values in off.items()}}

    def _loss(self, f: Tensor, y: Tensor, lam: float, margin: float | None = None) -> float:
        loss = LDRLoss(lam=lam, margin=self.margin if margin is None else margin, scores="logits")
        value: Tensor = loss(f[None], y[None])
        return value.item()


def _maximum(m: np.ndarray) -> float:
    """max over the simplex of <p, m> - KL(p || uniform), by a solver that is told of neither."""
    K = len(m)

    def negative(p: np.ndarray) -> float:
        return float(-(p @ m) + np.sum(p * np.log(K * np.clip(p, 1e-300, None))))

    found = minimize(
        negative,
        np.full(K, 1 / K),
        bounds=[(0, 1)] * K,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 1000},
        method="SLSQP",
    )
    return float(-found.fun)
