"""Generation: a network that is given noisy samples and their noise level learns to draw samples.

Any loss of the generative family (`Objective` below): it draws noise levels, makes a prediction and
a target with the network, compares them, and draws samples with the trained network. Noise is
Gaussian, in the units of the augmented samples.

The network is a flat model and a head, head(model([x, code(level)])), with x a sample's D entries.
The code of a number t is cos(w_j t), sin(w_j t), of `frequencies` w_j from 1 to 16, equally spaced
in their logarithm. Evaluators draw samples with `Subject.samples`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.training import TrainingTask
from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component

HIGHEST = 16.0


class Objective(Protocol):
    """What the task asks of a loss of the generative family; `network` is called (x, level).

    One that needs more of the network may have `begin(network)`, called before training, and
    `after_step(network)`. A loss is called with prediction and target [N, *S], levels [N, L].
    """

    def levels(self, count: int, generator: torch.Generator) -> Tensor:
        """The noise levels of each of `count` samples, [count, L]."""

    def estimates(
        self, network: nn.Module, samples: Tensor, noise: Tensor, levels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Prediction and target, each [N, *S], of samples with standard normal noise [N, *S]."""

    def sample(
        self,
        network: nn.Module,
        noise: Tensor,
        levels: Sequence[float],
        generator: torch.Generator,
    ) -> Tensor:
        """Samples [N, *S] from standard normal noise [N, *S], by way of the given levels."""


@component(
    "task",
    losses="generative",
    targets=(),
    inputs=("image", "vector"),
    shows="vector",
    features="sample",
    outputs="classes",
)
class Generate(TrainingTask):
    reports_untrained: ClassVar[bool] = True
    criterion: Any  # an `Objective`

    def __init__(self, bench: Bench, *, frequencies: Count = 8) -> None:
        super().__init__(bench)
        data = bench.dataset
        self.shape = data.shape
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        size = math.prod(data.shape)
        model = bench.build("model", (size + 2 * frequencies,))
        head = bench.build("head", model.features, size)
        self.encoder = NoiseConditioned(model, head, frequencies)
        self.criterion = self.build_loss()

    def begin(self) -> None:
        if hasattr(self.criterion, "begin"):
            self.criterion.begin(self.encoder)

    def after_step(self) -> None:
        if hasattr(self.criterion, "after_step"):
            self.criterion.after_step(self.encoder)

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        samples = self.augment(batch.inputs, random)
        noise = torch.randn(samples.shape, generator=random, device=samples.device)
        levels = self.criterion.levels(len(samples), random)
        return _pack(samples, noise, levels)

    def forward(self, inputs: Tensor) -> Tensor:
        samples, noise, levels = self._unpack(inputs)
        prediction, target = self.criterion.estimates(self.encoder, samples, noise, levels)
        return _pack(prediction, target, levels)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.criterion(*self._unpack(outputs))}

    def sample(self, count: int, levels: Sequence[float], random: torch.Generator) -> Tensor:
        """Samples [count, *shape] of the network as it is, for evaluators."""
        noise = torch.randn((count, *self.shape), generator=random, device=random.device)
        drawn: Tensor = self.criterion.sample(self.encoder, noise, levels, random)
        return drawn

    def _unpack(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        size = math.prod(self.shape)
        one, other, levels = rows.tensor_split([size, 2 * size], dim=1)
        return one.reshape(-1, *self.shape), other.reshape(-1, *self.shape), levels


class NoiseConditioned(nn.Module):
    """A model of flat inputs, and a head, that are given a number t [N] beside the samples x."""

    frequencies: Tensor

    def __init__(self, model: nn.Module, head: nn.Module, frequencies: int) -> None:
        super().__init__()
        self.model, self.head = model, head
        spaced = torch.logspace(0, math.log10(HIGHEST), frequencies)
        self.register_buffer("frequencies", spaced, persistent=False)

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        if t is None:
            raise BadRequest(
                "task=generate: its network has no features without a noise level; choose an "
                "evaluator of drawn samples: evaluator=[generated]"
            )
        angles = t[:, None] * self.frequencies
        coded = torch.cat([x.flatten(1), angles.cos(), angles.sin()], dim=1)
        out: Tensor = self.head(self.model(coded))
        return out.view_as(x)


def _pack(one: Tensor, other: Tensor, levels: Tensor) -> Tensor:
    """One tensor, a row a sample, so that the loop can cut a batch and join its parts."""
    return torch.cat([one.flatten(1), other.flatten(1), levels], dim=1)
