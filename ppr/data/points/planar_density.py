"""Planar density: points to be generated, of a ring of Gaussians or of a checkerboard.

    ring          `modes` Gaussians of deviation `deviation`, equally likely, their means equally
                  spaced on the circle of radius 0.6; the class is the Gaussian
    checkerboard  uniform on the black fields of a 4 x 4 board over [-1, 1]^2; the class is the row

The ring is the toy density of many generative models; there is no standard scale: with this one a
coordinate's deviation is about 0.43. Training, validation and test points are drawn apart; what is
drawn follows from `split_seed`. Nothing is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ppr.data.card import Card
from ppr.data.drawn import Drawn
from ppr.fields import Count, Positive, Whole
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

RADIUS = 0.6
FIELDS = 4


@component("dataset", inputs="vector", targets="class")
class PlanarDensity(Drawn):
    def __init__(
        self,
        root: Path | None = None,
        *,
        form: Literal["ring", "checkerboard"] = "ring",
        modes: Count = 8,
        deviation: Positive = 0.06,
        train: Count = 16_384,
        validation: Whole = 1000,
        test: Count = 1000,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.form, self.modes, self.deviation = form, modes, deviation
        self.card = Card(
            name="planar_density",
            shape=(2,),
            classes=tuple(map(str, range(modes if form == "ring" else FIELDS))),
            rows={"train": train, "test": test},
            source="drawn by ppr",
            licence="none needed",
        )

    def draw(self, count: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        classes = random.randint(len(self.card.classes), size=count)
        points = self._ring(classes, random) if self.form == "ring" else _board(classes, random)
        return points, classes

    def _ring(self, modes: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        import numpy as np

        angles = 2 * np.pi * modes / self.modes
        means = RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return means + self.deviation * random.standard_normal((len(modes), 2))


def _board(rows: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Points of the fields (row, column) with row + column even."""
    import numpy as np

    columns = 2 * random.randint(FIELDS // 2, size=len(rows)) + rows % 2
    corners = np.stack([columns, rows], axis=1)
    return (corners + random.random_sample((len(rows), 2))) * 2 / FIELDS - 1
