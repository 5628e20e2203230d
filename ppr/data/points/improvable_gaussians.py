"""Improvable Gaussians: two groups, two classes, two features that effort can change.

The synthetic set of Guldogan et al., "Equal Improvability", ICLR 2023, as SyntheticDataset
in utils/dataloaders.py of https://github.com/guldoganozgur/ei_fairness draws it:

    P(z = 1) = 0.4,   P(y = 1 | z) = 0.3, 0.5 for z = 0, 1,   x | y, z ~ N(mean_yz, var_yz I)

16,000 training and 4,000 test samples, drawn with `split_seed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.card import Card
from ppr.data.hub import Place
from ppr.data.tabular.table import TabularSource
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.source import Examples

GROUP_ONE = 0.4
GOOD = (0.3, 0.5)
"""P(y = 1) in each group."""
MEANS = (((-0.1, -0.2), (-0.2, -0.3)), ((0.1, 0.4), (0.4, 0.3)))
VARIANCES = ((0.4, 0.2), (0.2, 0.1))
"""By class, then by group."""


@component("dataset", inputs="vector", targets="class", has="groups")
class ImprovableGaussians(TabularSource):
    card = Card(
        name="improvable_gaussians",
        shape=(),
        classes=("rejected", "accepted"),
        rows={"train": 16_000, "test": 4000},
        source="drawn by ppr",
        licence="none needed",
    )
    numeric = ("x1", "x2")
    improvable = ("x1", "x2")
    standardised = False

    def find(self) -> Place:
        return Place("drawn", Path(__file__).parent, {})

    def read(self) -> Mapping[str, Examples]:
        import numpy as np

        stream = np.random.SeedSequence((self.split_seed, 0))
        random = np.random.RandomState(np.random.MT19937(stream))

        def draw(count: int) -> Examples:
            z = (random.rand(count) < GROUP_ONE).astype(np.int64)
            y = (random.rand(count) < np.asarray(GOOD)[z]).astype(np.int64)
            deviation = np.sqrt(np.asarray(VARIANCES)[y, z])[:, None]
            x = np.asarray(MEANS)[y, z] + deviation * random.randn(count, 2)
            return np.concatenate([x, z[:, None]], 1).astype(np.float32), y

        return {part: draw(self.card.rows[part]) for part in ("train", "test")}
