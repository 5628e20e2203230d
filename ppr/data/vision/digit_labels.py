"""Digit labels: one to three digits over each other, each turned by quarters, 40 labels to find.

For multi-label classification at desk scale, where few labels are positive: a scene is the
pixel-wise maximum of 1, 2 or 3 of scikit-learn's 8x8 digits, each turned by 0, 90, 180 or 270
degrees, and has the label 4 * digit + quarter turns of each (5 % of the labels). Training,
validation and test scenes show different digits, those of the splits of `digits`.

A share `dropped` of the positive training labels is then set to 0, as if nobody had noted them;
validation and test labels are whole. What is drawn follows from `split_seed`.

Targets are float32 [N, 40] of 0 and 1.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.hub import Place
from ppr.data.source import Source
from ppr.data.vision.digits import Digits
from ppr.fields import Count, Fraction, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.dataset import Dataset, Split

MOST = 3
TURNS = 4
PURPOSES = ("train", "validation", "test")


@component("dataset", inputs="image", targets="labels")
class DigitLabels(Source):
    def __init__(
        self,
        root: Path | None = None,
        *,
        train: Count = 4000,
        validation: Whole = 1000,
        test: Count = 1500,
        dropped: Fraction = 0.0,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.digits = Digits()
        self.dropped = dropped
        names = [f"{name} turned {90 * turn}" for name in "0123456789" for turn in range(TURNS)]
        self.card = replace(
            self.digits.card,
            name="digit_labels",
            classes=tuple(names),
            rows={"train": train, "test": test},
        )

    def find(self) -> Place:
        return self.digits.find()

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        from torch.nn.functional import one_hot

        from ppr.data.dataset import Split, assemble

        drawn = super().synthetic(n, seed)

        def several(split: Split) -> Split:
            first = one_hot(split.targets, len(self.card.classes))
            return Split(split.inputs, (first | first.roll(1, 0)).float())

        parts = [getattr(drawn, purpose) for purpose in PURPOSES]
        made = [None if part is None else several(part) for part in parts]
        assert made[0] is not None
        assert made[2] is not None
        return assemble(self.card, made[0], made[1], made[2], {"synthetic": True})

    def load(self) -> Dataset:
        from ppr.data.dataset import assemble

        digits = self.digits.load()
        rows = self.card.rows
        train = self._scenes("train", digits.train, rows["train"], self.dropped)
        held = None
        if self.validation:
            held = self._scenes("validation", digits.validation, self.validation)
        return assemble(self.card, train, held, self._scenes("test", digits.test, rows["test"]))

    def _scenes(self, purpose: str, digits: object, count: int, dropped: float = 0.0) -> Split:
        import numpy as np
        import torch

        from ppr.data.dataset import Split

        assert isinstance(digits, Split)
        stream = np.random.SeedSequence((self.split_seed, PURPOSES.index(purpose)))
        random = np.random.RandomState(np.random.MT19937(stream))
        turned = np.stack([np.rot90(digits.inputs, turn, (2, 3)) for turn in range(TURNS)])
        chosen = random.randint(0, len(digits), (count, MOST))
        turns = random.randint(0, TURNS, (count, MOST))
        shown = np.arange(MOST) < random.randint(1, MOST + 1, (count, 1))
        layers = turned[turns, chosen] * shown[:, :, None, None, None].astype(np.uint8)
        targets = np.zeros((count, len(self.card.classes)), dtype=np.float32)
        scene, layer = shown.nonzero()
        labels = TURNS * digits.targets.numpy()[chosen] + turns
        targets[scene, labels[scene, layer]] = 1
        noted = np.flatnonzero(targets)
        targets.flat[random.permutation(noted)[: round(dropped * len(noted))]] = 0
        return Split(torch.from_numpy(layers.max(1)), torch.from_numpy(targets))
