"""Mixup: a batch is blended with itself in another order, targets like inputs.

Paper: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization",
arXiv:1710.09412.

    x = l x_i + (1 - l) x_j,    y = l y_i + (1 - l) y_j,    l ~ Beta(alpha, alpha)

One l for a batch and j a random order of it, as in mixup_data of facebookresearch/mixup-cifar10.

Shapes: inputs [N, ...], targets [N, C] probabilities; both come back mixed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ppr.data.dataset import Dataset
from ppr.fields import Positive
from ppr.registry import component


@component("mixup", inputs=("image", "vector"))
class Mixup:
    def __init__(self, dataset: Dataset | None, *, alpha: Positive = 1.0) -> None:
        del dataset
        self.alpha = alpha

    def __call__(
        self, inputs: Tensor, targets: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        shape = torch.full((2,), self.alpha, device=random.device)
        # torch's distributions take no generator; two gammas make a beta.
        gammas: Any = torch._standard_gamma(shape, random)
        share = (gammas[0] / gammas.sum()).to(inputs)
        other = torch.randperm(len(inputs), generator=random, device=random.device)
        return (
            torch.lerp(inputs[other], inputs, share),
            torch.lerp(targets[other], targets, share.to(targets)),
        )
