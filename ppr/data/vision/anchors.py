"""Anchors: windows of MNIST digits, one in a thousand of them foreground, as a detector sees them.

A stand-in for the anchors of a one-stage detector (Lin et al., "Focal Loss for Dense Object
Detection", arXiv:1708.02002: "extreme foreground-background class imbalance"). A window is 28x28,
pooled to 14x14, with Gaussian noise. The classes:
  foreground   a centred 3, one window in `imbalance` (training) or `test_imbalance`
  background   5 % hard: other digits, centred; the rest easy: any digit, 6 to 11 pixels off along
               one axis at least

Training windows show the first 50,000 training images of MNIST, those for validation the other
10,000, the test ones its test images. Validation and test have the same imbalance. What is drawn
follows from `split_seed`.

Raises BadRequest for a split without a foreground window.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.hub import Place
from ppr.data.source import Source
from ppr.data.vision.mnist import MNIST
from ppr.errors import BadRequest
from ppr.fields import Count, NonNegative, Whole
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset, Split

DIGIT = 3
HARD = 0.05
NEAREST, FARTHEST = 6, 11
TRAINING_IMAGES = 50_000


@component("dataset", inputs="image", targets="class")
class Anchors(Source):
    def __init__(
        self,
        root: Path | None = None,
        *,
        train: Count = 20_000,
        validation: Whole = 10_000,
        test: Count = 20_000,
        imbalance: Count = 1000,
        test_imbalance: Count = 100,
        pixel_noise: NonNegative = 0.3,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.mnist = MNIST(root)
        self.one_in = imbalance
        self.test_imbalance = test_imbalance
        self.pixel_noise = pixel_noise
        self.card = replace(
            self.mnist.card,
            name="anchors",
            shape=(1, 14, 14),
            classes=("background", "foreground"),
            rows={"train": train, "test": test},
            mean=(),
            std=(),
        )

    def find(self) -> Place | None:
        return self.mnist.find()

    def load(self) -> Dataset:
        from ppr.data.dataset import assemble

        arrays = self.mnist.arrays()
        images, digits = arrays["train"]
        seen, unseen = slice(TRAINING_IMAGES), slice(TRAINING_IMAGES, None)
        rows = self.card.rows
        train = self._windows("train", images[seen], digits[seen], rows["train"], self.one_in)
        validation = None
        if self.validation:
            held = images[unseen], digits[unseen]
            validation = self._windows("validation", *held, self.validation, self.test_imbalance)
        test = self._windows("test", *arrays["test"], rows["test"], self.test_imbalance)
        return assemble(self.card, train, validation, test)

    def _windows(
        self, part: str, images: np.ndarray, digits: np.ndarray, count: int, imbalance: int
    ) -> Split:
        import numpy as np
        import torch

        from ppr.data.dataset import Split

        foreground = count // imbalance
        if not foreground:
            what = f"no foreground window, at one in {imbalance}"
            raise BadRequest(f"dataset.{part}={count}: {what}; allowed: {imbalance} or more")
        purpose = ("train", "validation", "test").index(part)
        stream = np.random.SeedSequence((self.split_seed, purpose))
        random = np.random.RandomState(np.random.MT19937(stream))
        hard = round(HARD * count)
        easy = count - foreground - hard
        centred = np.zeros((foreground + hard, 2), dtype=np.int64)
        offsets = np.concatenate([centred, _far(easy, random)])
        chosen = np.concatenate(
            [
                random.choice(np.flatnonzero(digits == DIGIT), foreground),
                random.choice(np.flatnonzero(digits != DIGIT), hard),
                random.randint(0, len(digits), easy),
            ]
        )
        windows = _pooled(images[chosen, 0], offsets)
        windows += random.normal(0, self.pixel_noise, windows.shape)
        pixels = np.rint(windows.clip(0, 1) * 255).astype(np.uint8)[:, None]
        targets = (np.arange(count) < foreground).astype(np.int64)
        order = random.permutation(count)
        return Split(torch.from_numpy(pixels[order]), torch.from_numpy(targets[order]))


def _far(count: int, random: np.random.RandomState) -> np.ndarray:
    """Offsets [count, 2] in pixels: far along one axis, no farther along the other."""
    import numpy as np

    far = random.randint(NEAREST, FARTHEST + 1, count)
    other = random.randint(-far, far + 1)
    along = np.stack([far * random.choice([-1, 1], count), other], axis=1)
    swapped = random.rand(count) < 0.5
    along[swapped] = along[swapped, ::-1]
    return along


def _pooled(images: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Windows of uint8 [N, 28, 28], moved, black outside, pooled 2x2 to [N, 14, 14] in [0, 1]."""
    import numpy as np

    size = images.shape[1]
    padded = np.pad(images, ((0, 0), (FARTHEST, FARTHEST), (FARTHEST, FARTHEST)))
    corner = np.arange(size) + FARTHEST
    down = corner + offsets[:, :1]
    right = corner + offsets[:, 1:]
    windows = padded[np.arange(len(images))[:, None, None], down[:, :, None], right[:, None, :]]
    half = size // 2
    pooled: np.ndarray = windows.reshape(-1, half, 2, half, 2).mean((2, 4)) / 255
    return pooled
