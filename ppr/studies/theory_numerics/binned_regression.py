"""Regression with a classification loss of the binned target beside it, as the targets are sampled.

Pintea, Lin, Dijkstra and van Gemert, "A step towards understanding why classification helps
regression", ICCV 2023. One network 1-6-15 with ReLU and two linear heads is trained on

    regression       L = (f - y)^2
    classification   L = weight (f - y)^2 + CE(classes of y)       `classes` equal bins of y
    weighted         L = weight (f - y)^2                          which the paper's figure lacks

by Adam with decay 1e-3 of the weights, and measured by the squared error on evenly sampled points.
The weight multiplies the regression term, as in the authors' code (1d/main.py and model.py of
github.com/SilviaLauraPintea/reg-cls at 696e2c5), not the classification term as in the paper's
formula; it makes the decay weaker by as much, which the third arm shows alone.

The run's seed numbers the authors' five draws of the data (ppr/studies/theory_numerics/
_sampled_functions.py) and seeds the networks; the figures are means over `functions` functions.
All networks of a sampling are trained side by side, each function with batches of its own, and in
single precision (the authors' are in double).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.fields import Count, NonNegative, Positive
from ppr.registry import component
from ppr.studies.study import Study
from ppr.studies.theory_numerics._sampled_functions import (
    SPREADS,
    Function,
    Part,
    Sizes,
    data_seeds,
    functions,
    sample,
)

HIDDEN = (6, 15)
TYPE = torch.float32
ARMS = ("regression", "classification", "weighted")
BATCH = 256


@component("task")
class BinnedRegression(Study):
    """
    Args:
        setting: of the data; `noisy` adds noise of 0.1 to them, `ood` tests on other intervals.
        weight: of the regression term where there is a classification term.
        samples, bins: how many points a draw has, and of how many bins (the authors': the default).
    """

    def __init__(
        self,
        bench: Bench,
        *,
        setting: Literal["clean", "noisy", "ood"] = "clean",
        classes: Count = 4,
        weight: Positive = 100.0,
        lr: Positive = 1e-3,
        decay: NonNegative = 1e-3,
        epochs: Count = 80,
        functions: Count = 10,
        samples: Count = 60_000,
        bins: Count = 1024,
    ) -> None:
        super().__init__(bench)
        self.setting, self.classes, self.weight = setting, classes, weight
        self.lr, self.decay, self.epochs = lr, decay, epochs
        self.functions = functions
        self.sizes = Sizes(bins=bins, total=samples)

    def measure(self) -> dict[str, dict[str, float]]:
        found = {}
        random = torch.Generator().manual_seed(self.bench.seed)
        seed = data_seeds()[self.bench.seed % 5]
        for sampling in SPREADS:  # even samples first
            errors = self._errors(functions(self.functions), sampling, seed, random)
            plain, with_classes, weighted = errors.mean(1).tolist()
            found[sampling] = {
                "mse": plain,
                "classes_mse": with_classes,
                "weighted_mse": weighted,
                "gain": 100 * (1 - with_classes / plain),
                "gain_over_weighted": 100 * (1 - with_classes / weighted),
            }
        even = found["uniform"]["gain"]
        for sampling, metrics in found.items():
            if sampling != "uniform":
                metrics["gain_above_even"] = metrics["gain"] - even
        return found

    def check(self) -> None:
        """The same on a few points of one function: the whole takes minutes."""
        self.sizes, self.functions, self.epochs = Sizes(bins=8, total=800, pool=2000), 1, 1
        self.measure()

    def _errors(
        self, every: list[Function], sampling: str, seed: int, random: torch.Generator
    ) -> Tensor:
        """The test error of each arm and function, [arms, functions]."""

        def draw(function: Function, sampling: str) -> tuple[Part, Part, Part]:
            return sample(function, self.setting, sampling, seed, self.sizes)

        drawn = [draw(function, sampling) for function in every]
        even = drawn if sampling == "uniform" else [draw(each, "uniform") for each in every]
        trained = train(
            [part[0] for part in drawn],
            classes=self.classes,
            losses=[(1.0, 0.0), (self.weight, 1.0), (self.weight, 0.0)],
            lr=self.lr,
            decay=self.decay,
            epochs=self.epochs,
            random=random,
        )
        return torch.stack([trained.errors(k, part[2]) for k, part in enumerate(even)], dim=1)


@dataclass
class Networks:
    """Networks 1-6-15 with two heads, side by side: `flat` [arms, functions, parameters]."""

    flat: Tensor
    classes: int

    def parts(self) -> list[Tensor]:
        """Weights [arms, functions, in, out] and biases [arms, functions, 1, out], in turn."""
        found = []
        at = 0
        for inside, out in layers(self.classes):
            for rows in (inside, 1):
                part = self.flat[..., at : at + rows * out]
                found.append(torch.unflatten(part, 2, (rows, out)))
                at += rows * out
        return found

    def features(self, x: Tensor) -> Tensor:
        """[functions, batch, 1] -> [arms, functions, batch, 15]."""
        first, first_bias, second, second_bias = self.parts()[:4]
        hidden = (x * first + first_bias).relu()
        return (hidden @ second + second_bias).relu()

    def errors(self, function: int, test: tuple[np.ndarray, np.ndarray]) -> Tensor:
        """The mean over batches of their mean squared errors, as the authors average. [arms]"""
        x, y = (torch.from_numpy(values.reshape(-1)).to(TYPE) for values in test)
        own = Networks(self.flat[:, function : function + 1], self.classes)
        with torch.no_grad():
            head, bias = own.parts()[4:6]
            predicted = (own.features(x[None, :, None]) @ head + bias)[:, 0, :, 0]
            squared = (predicted - y).double().square()
        return torch.stack([part.mean(1) for part in torch.split(squared, BATCH, dim=1)]).mean(0)


def layers(classes: int) -> list[tuple[int, int]]:
    """Inputs and outputs of the two hidden layers, the regression and the classification head."""
    return [(1, HIDDEN[0]), (HIDDEN[0], HIDDEN[1]), (HIDDEN[1], 1), (HIDDEN[1], classes)]


def labels(y: Tensor, classes: int) -> Tensor:
    """The equal bin, from the least to the largest of y, that each value falls into."""
    edges = torch.from_numpy(np.linspace(y.min().item(), y.max().item(), classes + 1))
    return (torch.bucketize(y, edges, right=True) - 1).clamp(0, classes - 1)


def initial(arms: int, count: int, classes: int, random: torch.Generator) -> Tensor:
    """Xavier's uniform weights and biases of 0, the same for each arm of a function."""
    parts = []
    for inside, out in layers(classes):
        bound = (6 / (inside + out)) ** 0.5
        drawn = torch.rand(1, count, inside * out, generator=random, dtype=TYPE)
        parts += [(2 * drawn - 1) * bound, torch.zeros(1, count, out, dtype=TYPE)]
    return torch.cat(parts, dim=2).repeat(arms, 1, 1)


def train(
    data: list[tuple[np.ndarray, np.ndarray]],
    *,
    classes: int,
    losses: list[tuple[float, float]],
    lr: float,
    decay: float,
    epochs: int,
    random: torch.Generator,
) -> Networks:
    """An arm for each pair of weights in `losses`, of the squared error and of the cross-entropy.

    Every arm of a function sees the same batches. Functions may have unequally many samples: one
    whose epoch is over waits for the others.
    """
    parts = [[torch.from_numpy(values.reshape(-1)) for values in each] for each in data]
    steps = torch.tensor([len(x) // BATCH for x, _ in parts])
    most = max(len(x) for x, _ in parts)
    shape = (len(parts), most)
    inputs, targets = torch.zeros(shape, dtype=TYPE), torch.zeros(shape, dtype=TYPE)
    classed = torch.zeros(shape, dtype=torch.int64)
    for k, (x, y) in enumerate(parts):
        inputs[k, : len(x)], targets[k, : len(y)] = x, y
        classed[k, : len(y)] = labels(y, classes)
    weights = torch.tensor(losses, dtype=TYPE)
    with_classes = weights[:, 1] > 0
    flat = initial(len(losses), len(parts), classes, random).requires_grad_()
    networks = Networks(flat, classes)
    adam = _Adam(flat, lr, decay)
    for _ in range(epochs):
        orders = torch.zeros(shape, dtype=torch.int64)
        for k, (x, _) in enumerate(parts):
            orders[k, : len(x)] = torch.randperm(len(x), generator=random)
        for step in range(int(steps.max())):
            rows = orders[:, step * BATCH : (step + 1) * BATCH]
            features = networks.features(inputs.gather(1, rows)[..., None])
            head, bias, class_head, class_bias = networks.parts()[4:]
            predicted = (features @ head + bias)[..., 0]
            error = (predicted - targets.gather(1, rows)).square().mean(2)
            loss = (weights[:, :1] * error).sum(0)
            logits = features[with_classes] @ class_head[with_classes] + class_bias[with_classes]
            wanted = classed.gather(1, rows).expand(logits.shape[:3])
            entropy = torch.nn.functional.cross_entropy(
                logits.flatten(0, 2), wanted.flatten(), reduction="none"
            )
            per_arm = entropy.view(logits.shape[:3]).mean(2)
            loss = loss + (weights[with_classes, 1:] * per_arm).sum(0)
            (gradient,) = torch.autograd.grad(loss.sum(), flat)
            adam.step(gradient, step < steps)
    return Networks(flat.detach(), classes)


class _Adam:
    """Adam (Kingma and Ba 2015) with decay in the gradient, for those networks that take a step."""

    def __init__(self, flat: Tensor, lr: float, decay: float) -> None:
        self.flat, self.lr, self.decay = flat, lr, decay
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.taken = torch.zeros(flat.shape[1], dtype=TYPE)

    def step(self, gradient: Tensor, active: Tensor) -> None:
        """`active` [functions]: which of them move."""
        with torch.no_grad():
            moving = slice(None) if active.all() else active  # a slice copies nothing
            part = self.flat[:, moving]
            gradient = gradient[:, moving] + self.decay * part
            self.taken += active
            taken = self.taken[moving][None, :, None]
            mean = self.mean[:, moving].lerp(gradient, 0.1)
            square = self.square[:, moving].lerp(gradient.square(), 0.001)
            step = mean / (1 - 0.9**taken) / ((square / (1 - 0.999**taken)).sqrt() + 1e-8)
            self.mean[:, moving], self.square[:, moving] = mean, square
            self.flat[:, moving] = part - self.lr * step
