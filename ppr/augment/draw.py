"""Random parameters for `ops`, one per image, drawn on the device without waiting for it.

Boxes are [n, 4]: top, left, height, width, whole numbers kept as float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TRIES = 10
CROP_RATIO = (3 / 4, 4 / 3)
ERASING_SCALE = (0.02, 0.33)
ERASING_RATIO = (0.3, 3.3)
"""Defaults of torchvision's RandomResizedCrop and RandomErasing."""


class Draw:
    """Draws `n` values at a time from one generator."""

    def __init__(self, n: int, generator: torch.Generator | None, device: torch.device) -> None:
        self.n = n
        self.generator = generator
        self.device = device

    def unit(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), float32 [n, *shape]."""
        return torch.rand(self.n, *shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.n, *shape, generator=self.generator, device=self.device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return self.unit(*shape).mul_(high - low).add_(low)

    def chance(self, p: float) -> Tensor:
        """True with probability `p`."""
        return self.unit() < p

    def whole(self, below: Tensor) -> Tensor:
        """Uniform over the whole numbers from 0 up to, not including, `below` [n]; as float32."""
        # The product can round up to `below` itself.
        return torch.minimum((self.unit() * below).floor_(), below - 1)

    def shift(self, furthest: int) -> Tensor:
        """A whole number of pixels from -furthest to furthest; as float32."""
        places = torch.full((self.n,), 2.0 * furthest + 1, device=self.device)
        return self.whole(places) - furthest

    def factor(self, strength: float) -> Tensor:
        """Uniform in [max(0, 1 - strength), 1 + strength], as torchvision's ColorJitter has it."""
        return self.uniform(max(0.0, 1 - strength), 1 + strength)

    def order(self, count: int) -> Tensor:
        """A permutation of 0 … count - 1 for each image, [n, count]."""
        return self.unit(count).argsort(1)

    def crop_box(self, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
        """RandomResizedCrop's box: of ten tries the first that fits, else the centre.

        `scale` is the range of its share of the image's area. All tries are made at once.
        """
        h, w = size
        width, height = self._sides(h * w, scale, CROP_RATIO)
        fits = (width > 0) & (width <= w) & (height > 0) & (height <= h)
        width, height, any_fits = _first(fits, width, height)
        low, high = CROP_RATIO
        whole_width = min(w, round(h * high))
        whole_height = min(h, round(w / low))
        width = torch.where(any_fits, width, whole_width)
        height = torch.where(any_fits, height, whole_height)
        top = torch.where(any_fits, self.whole(h - height + 1), (h - whole_height) // 2)
        left = torch.where(any_fits, self.whole(w - width + 1), (w - whole_width) // 2)
        return torch.stack((top, left, height, width), 1)

    def erasing_box(self, size: tuple[int, int], p: float) -> Tensor:
        """RandomErasing's box; empty where none of ten tries fits and with probability 1 - p."""
        h, w = size
        height, width = self._sides(h * w, ERASING_SCALE, ERASING_RATIO)
        height, width, any_fits = _first((height < h) & (width < w), height, width)
        top, left = self.whole(h - height + 1), self.whole(w - width + 1)
        return torch.stack((top, left, height * (any_fits & self.chance(p)), width), 1)

    def cutout_box(self, size: tuple[int, int], side: int) -> Tensor:
        """Cutout's square, its centre anywhere in the image, so that it may stick out of it."""
        h, w = size
        half = side // 2
        top = self.unit().mul_(h).floor_() - half
        left = self.unit().mul_(w).floor_() - half
        sides = torch.full_like(top, 2 * half)
        return torch.stack((top, left, sides, sides), 1)

    def _sides(
        self, area: int, scale: tuple[float, float], ratio: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Rounded sqrt(area * ratio) and sqrt(area / ratio), [n, TRIES]; ratio is log-uniform."""
        target = self.uniform(*scale, TRIES) * area
        root = self.uniform(math.log(ratio[0]), math.log(ratio[1]), TRIES).mul_(0.5).exp_()
        side = target.sqrt_()
        return (side * root).round_(), (side / root).round_()


def _first(fits: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """The `values` [n, tries] of each row's first try that `fits`, and whether any does."""
    at = fits.to(torch.uint8).argmax(1, keepdim=True)
    return (*(value.gather(1, at)[:, 0] for value in values), fits.any(1))
