"""LDAM's quarter power: the two margins that minimise the bound on the balanced error.

Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
arXiv:1906.07413. For two classes with n_1 and n_2 samples, the bound's part that the margins g_1
and g_2 can change, with their sum kept, is

    1 / (g_1 sqrt(n_1)) + 1 / (g_2 sqrt(n_2)),        so that        g_1 / g_2 = (n_2 / n_1)^(1/4)

at the minimum. Class 1 has `imbalance` times the samples of class 2; g_1 is found by a bounded
scalar search (scipy), which knows nothing of the closed form.

With `margins: loss` the ratio is that of the loss that runs train with, instead.

Metrics: `measured/ratio`, g_2 / g_1; `theory/ratio`, imbalance^(1/4).
"""

from __future__ import annotations

from typing import Literal

import torch
from scipy.optimize import minimize_scalar

from ppr.engine.bench import Bench
from ppr.fields import Positive
from ppr.losses.long_tail.ldam import LDAMLoss
from ppr.registry import component
from ppr.studies.study import Study

RARER = 3
"""Samples of class 2: any number gives the same ratio."""


@component("task")
class MarginTradeoff(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        imbalance: Positive = 100.0,
        margins: Literal["bound", "loss"] = "bound",
    ) -> None:
        super().__init__(bench)
        self.counts = (round(imbalance * RARER), RARER)
        self.ratio = {"bound": self._of_bound, "loss": self._of_loss}[margins]

    def measure(self) -> dict[str, dict[str, float]]:
        first, second = self.counts
        return {"measured": {"ratio": self.ratio()}, "theory": {"ratio": (first / second) ** 0.25}}

    def _of_bound(self) -> float:
        first, second = self.counts

        def bound(margin: float) -> float:
            return float(1 / (margin * first**0.5) + 1 / ((1 - margin) * second**0.5))

        found = minimize_scalar(bound, bounds=(0, 1), method="bounded", options={"xatol": 1e-12})
        return float((1 - found.x) / found.x)

    def _of_loss(self) -> float:
        loss = LDAMLoss()
        loss.see(torch.repeat_interleave(torch.arange(2), torch.tensor(self.counts)), 2)
        return (loss.margins[1] / loss.margins[0]).item()
