"""No augmentation: inputs are scaled and normalised, nothing else. Inputs of any shape."""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.augment.base import Augment
from ppr.registry import component


@component("augment")
class NoAugment(Augment):
    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.plain(images)
