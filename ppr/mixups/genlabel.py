"""GenLabel: mixup whose targets are those of a generative model at the mixed point.

Paper: Sohn, Shang, Chen, Moon, Papailiopoulos, Lee, "GenLabel: Mixup Relabeling using Generative
Models", ICML 2022. With p_c the density of class c, fitted to the training inputs, and x, y as
mixup.py has them,

    y <- (1 - ratio) y + ratio y_gen,    y_gen = softmax over c of log p_c(x)

restricted to the two classes of the highest density at x, whichever were mixed, as in the released
code (Syn_model.py of UW-Madison-Lee-Lab/GenLabel_official at 5b97d84). p_c is a Gaussian with the
class's mean and covariance, or a kernel density estimate with Gaussian kernels of `bandwidth`^2
times the class's covariance, which is scipy.stats.gaussian_kde's; covariances divide by n - 1.

Shapes: inputs [N, D] of floats, targets [N, C] probabilities. The model is of the inputs as the
dataset has them, so there must be nothing that augments or normalises them.

Raises BadRequest for inputs that are images, or classes too small or flat to have a covariance.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ppr.data.dataset import Dataset, Split
from ppr.errors import BadRequest
from ppr.fields import Fraction, Positive
from ppr.mixups.mixup import Mixup
from ppr.registry import component

WHERE = "mixup genlabel"


@component("mixup", inputs=("image", "vector"))
class GenLabel(Mixup):
    def __init__(
        self,
        dataset: Dataset,
        *,
        alpha: Positive = 1.0,
        density: Literal["kde", "gaussian"] = "kde",
        bandwidth: Positive = 0.2,
        ratio: Fraction = 1.0,
    ) -> None:
        super().__init__(dataset, alpha=alpha)
        self.ratio = ratio
        train = dataset.train
        if not isinstance(train, Split) or train.inputs.dim() != 2:
            raise BadRequest(f"{WHERE}: needs inputs [N, D], {dataset.name!r} has {dataset.shape}")
        inputs = train.inputs.double()
        classes = [inputs[train.targets == c] for c in range(len(dataset.classes))]
        self.densities = [Density(points, density, bandwidth) for points in classes]

    def __call__(
        self, inputs: Tensor, targets: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        mixed, linear = super().__call__(inputs, targets, random)
        return mixed, torch.lerp(linear, self.labels(mixed).to(linear), self.ratio)

    def labels(self, points: Tensor) -> Tensor:
        """y_gen [N, C] of points [N, D], in float64."""
        logs = torch.stack([density.log(points.double()) for density in self.densities], dim=1)
        densest = logs.topk(min(2, logs.shape[1]), dim=1)
        only = torch.full_like(logs, -torch.inf).scatter(1, densest.indices, densest.values)
        return only.softmax(1)


class Density:
    """The density of one class, from its points [n, D]."""

    def __init__(self, points: Tensor, kind: str, bandwidth: float) -> None:
        count, width = points.shape
        centred = points - points.mean(0)
        covariance = centred.T @ centred / max(1, count - 1)
        factor, broken = torch.linalg.cholesky_ex(covariance)
        if count < 2 or int(broken):
            raise BadRequest(f"{WHERE}: a class of {count} samples has no covariance of full rank")
        scale = bandwidth if kind == "kde" else 1.0
        # Whitened, so that every kernel is a unit ball: distances need no covariance then.
        self.whiten = torch.linalg.inv(factor).T / scale
        self.centres = (points if kind == "kde" else points.mean(0, keepdim=True)) @ self.whiten
        volume = factor.diagonal().log().sum() + width * math.log(scale)
        self.offset = -volume - width / 2 * math.log(2 * math.pi) - math.log(len(self.centres))

    def log(self, points: Tensor) -> Tensor:
        """log p of points [N, D], in nats."""
        if self.centres.device != points.device:
            self.whiten = self.whiten.to(points.device)
            self.centres, self.offset = (
                self.centres.to(points.device),
                self.offset.to(points.device),
            )
        squared = torch.cdist(points @ self.whiten, self.centres).square()
        density: Tensor = (-squared / 2).logsumexp(1) + self.offset
        return density
