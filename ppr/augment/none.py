"""No augmentation: inputs are scaled and normalised, nothing else. Inputs of any shape.

Those of a data set without mean and deviation (tokens, tables) are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ppr.augment.base import Augment
from ppr.registry import component


@component("augment")
class NoAugment(Augment):
    def __init__(self, shape: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> None:
        self.normalises = bool(mean)
        if self.normalises:
            super().__init__(shape, mean, std)

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.plain(images)

    def plain(self, images: Tensor) -> Tensor:
        return super().plain(images) if self.normalises else images
