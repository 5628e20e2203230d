"""Prediction at every position: of a text, an image or a series; targets have the positions' shape.

The network gives class scores at each position, `classifier(encoder(inputs))`, features last:
[N, *S, F] -> [N, *S, C], with targets [N, *S]. That is a language model (inputs are tokens, S the
length of the text), segmentation (S is height and width), a forecast over bins of the next value.

The loss is one of the sequence family, `loss(outputs, targets, mask)`; `mask` [N, *S] are the
positions that count, of the training split's `extra["mask"]`, or None if it has none. Evaluators
read `Subject.outputs`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.training import TrainingTask
from ppr.registry import component


@component("task", losses="sequence", targets="positions", features="position", outputs="classes")
class Predict(TrainingTask):
    batch_wide: ClassVar[bool] = True  # the mean is over the batch's positions, not its samples
    mask: Tensor | None

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        data = bench.dataset
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        self.encoder = bench.build("model", data.shape)
        self.classifier = bench.build("head", self.encoder.features, len(data.classes))
        self.criterion = self.build_loss()
        known = getattr(data.train, "extra", {})
        self.register_buffer("mask", known.get("mask"), persistent=False)

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        inputs: Tensor = self.augment(batch.inputs, random)
        return inputs

    def forward(self, inputs: Tensor) -> Tensor:
        assert self.classifier is not None
        outputs: Tensor = self.classifier(self.encoder(inputs))
        return outputs

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        mask = None if self.mask is None else self.mask[batch.indices]
        return {"loss": self.criterion(outputs, batch.targets, mask)}
