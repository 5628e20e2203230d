"""No augmentation: inputs are scaled and normalised, nothing else. Inputs of any shape."""

from __future__ import annotations

from torch import Tensor

from ppr.augment.base import Augment
from ppr.augment.draw import Draw
from ppr.registry import component


@component("augment")
class NoAugment(Augment):
    def parameters(self, draw: Draw) -> dict[str, Tensor]:
        return {}

    def transform(self, images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        return images
