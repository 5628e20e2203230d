"""Digit scenes: noisy 24x24 images of one to three handwritten digits, each pixel with its class.

For segmentation at desk scale: scikit-learn's 8x8 digits of three classes, put at random on an
empty image where they do not overlap, with Gaussian noise; the mask of a digit is its pixels of at
least half the full intensity. Class 0 is the background. Training, validation and test scenes show
different digits, those of the splits of `digits`.

Images are stored as bytes of 0.25 + 0.25 x, cut to [0, 1], x the digit in [0, 1] and the noise.
What is drawn follows from `split_seed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data.hub import Place
from ppr.data.source import Source
from ppr.data.vision.digits import Digits
from ppr.fields import Count, NonNegative, Whole
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset, Split

SIZE = 24
SHOWN = (0, 1, 7)
MOST = 3
HALF = 128


@component("dataset", inputs="image", targets="positions")
class DigitScenes(Source):
    def __init__(
        self,
        root: Path | None = None,
        *,
        train: Count = 400,
        validation: Whole = 300,
        test: Count = 300,
        pixel_noise: NonNegative = 0.3,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.digits = Digits()
        self.pixel_noise = pixel_noise
        self.card = replace(
            self.digits.card,
            name="digit_scenes",
            shape=(1, SIZE, SIZE),
            classes=("background", *map(str, SHOWN)),
            rows={"train": train, "test": test},
        )

    def find(self) -> Place:
        return self.digits.find()

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        from ppr.data.synthetic import synthetic

        held = self.validation > 0
        return synthetic(self.card, n, validation=held, seed=seed, positions=self.card.shape[1:])

    def load(self) -> Dataset:
        from ppr.data.dataset import assemble

        digits = self.digits.load()
        splits: dict[str, Any] = {
            "train": digits.train,
            "validation": digits.validation,
            "test": digits.test,
        }
        counts: Mapping[str, int] = {**self.card.rows, "validation": self.validation}
        made = {
            name: self._scenes(number, counts[name], split.inputs.numpy(), split.targets.numpy())
            for number, (name, split) in enumerate(splits.items())
            if counts[name]
        }
        return assemble(self.card, made["train"], made.get("validation"), made["test"])

    def _scenes(self, purpose: int, count: int, images: np.ndarray, digits: np.ndarray) -> Split:
        import numpy as np
        import torch

        from ppr.data.dataset import Split

        random = np.random.RandomState(
            np.random.MT19937(np.random.SeedSequence((self.split_seed, purpose)))
        )
        pixels = np.zeros((count, SIZE, SIZE))
        masks = np.zeros((count, SIZE, SIZE), dtype=np.int64)
        side = images.shape[-1]
        known = np.flatnonzero(np.isin(digits, SHOWN))
        for scene, mask in zip(pixels, masks, strict=True):
            for _ in range(random.randint(1, MOST + 1)):
                chosen = known[random.randint(len(known))]
                top, left = random.randint(0, SIZE - side + 1, 2)
                place = (slice(top, top + side), slice(left, left + side))
                if scene[place].any():
                    continue
                scene[place] = images[chosen, 0] / 255
                mask[place][images[chosen, 0] >= HALF] = 1 + SHOWN.index(digits[chosen])
        pixels += random.normal(0, self.pixel_noise, pixels.shape)
        stored = np.rint((0.25 + 0.25 * pixels).clip(0, 1) * 255).astype(np.uint8)
        return Split(torch.from_numpy(stored[:, None]), torch.from_numpy(masks))
