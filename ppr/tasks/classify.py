"""Classification: an encoder and a classifier trained together on labelled samples."""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.engine.batches import Batch
from ppr.registry import component
from ppr.tasks.bench import Bench
from ppr.tasks.training import TrainingTask


@component("task")
class Classify(TrainingTask):
    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        data = bench.dataset
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        self.encoder = bench.build("model", data.shape)
        self.classifier = bench.build("head", self.encoder.features, len(data.classes))
        self.criterion = bench.build("loss")

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        inputs: Tensor = self.augment(batch.inputs, random)
        return inputs

    def forward(self, inputs: Tensor) -> Tensor:
        assert self.classifier is not None
        logits: Tensor = self.classifier(self.encoder(inputs))
        return logits

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        accuracy = (outputs.argmax(1) == batch.targets).float().mean()
        return {"loss": self.criterion(outputs, batch.targets), "top1": accuracy}
