"""Planar: two classes of points in the plane, moons, circles or two circles, to be told apart.

scikit-learn's make_moons and make_circles (radii 1 and 0.8) with Laplace noise of scale `jitter`;
`two_circles` are two pairs of circles, 1.2 to either side, with the classes of one swapped. Made as
in Syn_model.py of UW-Madison-Lee-Lab/GenLabel_official at 5b97d84, whose noise the options set.
Training, validation and test points are drawn apart, `train`, `validation` and `test` of them (of
two_circles twice as many); what is drawn follows from `split_seed`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ppr.data.card import Card
from ppr.data.drawn import Drawn
from ppr.data.hub import Place
from ppr.data.vision.digits import Digits
from ppr.fields import Count, NonNegative, Whole
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

ASIDE = 1.2


@component("dataset", inputs="vector", targets="class")
class Planar(Drawn):
    def __init__(
        self,
        root: Path | None = None,
        *,
        form: Literal["moons", "circles", "two_circles"] = "moons",
        jitter: NonNegative = 0.1,
        train: Count = 1000,
        validation: Whole = 1000,
        test: Count = 1000,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.form, self.jitter = form, jitter
        self.card = Card(
            name="planar",
            shape=(2,),
            classes=("0", "1"),
            rows={"train": train, "test": test},
            source="sklearn.datasets.make_moons, make_circles",
            licence="BSD-3-Clause (scikit-learn)",
            balanced=True,
        )

    def find(self) -> Place:
        return Digits().find()

    def draw(self, count: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np
        from sklearn.datasets import make_circles, make_moons

        def circles(shift: float) -> tuple[np.ndarray, np.ndarray]:
            points, classes = make_circles(count, random_state=random)
            return points + np.array([shift, 0.0]), classes

        if self.form == "moons":
            points, classes = make_moons(count, random_state=random)
        elif self.form == "circles":
            points, classes = circles(0.0)
        else:
            (right, first), (left, second) = circles(ASIDE), circles(-ASIDE)
            points, classes = np.concatenate([right, left]), np.concatenate([first, 1 - second])
        return points + random.laplace(scale=self.jitter, size=points.shape), classes
