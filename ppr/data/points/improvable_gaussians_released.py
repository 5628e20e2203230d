"""Improvable Gaussians as the authors' code draws them, bit for bit: their one draw of 20,000.

The law is that of `improvable_gaussians`. SyntheticDataset in utils/dataloaders.py of
https://github.com/guldoganozgur/ei_fairness seeds numpy's legacy generator with 0 and draws one
sample after the other, group, class, features; the first 16,000 train, the rest test. Its
multivariate_normal is mean + standard deviation * normals, as the covariance is a multiple of I.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ppr.data.points.improvable_gaussians import (
    GOOD,
    GROUP_ONE,
    MEANS,
    VARIANCES,
    ImprovableGaussians,
)
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.source import Examples


@component("dataset", inputs="vector", targets="class", has="groups")
class ImprovableGaussiansReleased(ImprovableGaussians):
    card = replace(ImprovableGaussians.card, name="improvable_gaussians_released")

    def read(self) -> Mapping[str, Examples]:
        import numpy as np

        random = np.random.RandomState(0)
        train, test = (self.card.rows[part] for part in ("train", "test"))
        x, y = np.empty((train + test, 3)), np.empty(train + test, np.int64)
        for i in range(len(y)):
            z = random.binomial(1, GROUP_ONE)
            y[i] = random.binomial(1, GOOD[z])
            deviation = np.sqrt(VARIANCES[y[i]][z])
            x[i] = *(MEANS[y[i]][z] + deviation * random.standard_normal(2)), z
        x = x.astype(np.float32)
        return {"train": (x[:train], y[:train]), "test": (x[train:], y[train:])}
