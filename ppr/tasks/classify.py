"""Classification: an encoder and a classifier trained together on labelled samples.

Targets are class numbers [N]; or [N, C]: probabilities, or 0 and 1 for each of several labels. With
`mixup=…` the loss is that of mixed inputs and targets, the latter as probabilities [N, C].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.training import TrainingTask
from ppr.registry import component


@component(
    "task",
    losses=("classification", "multi-label"),
    targets=("class", "labels"),
    features="sample",
    outputs="classes",
)
class Classify(TrainingTask):
    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        data = bench.dataset
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        self.mixup = bench.build("mixup", data) if bench.chosen("mixup") else None
        self.encoder = bench.build("model", data.shape)
        self.classifier = bench.build("head", self.encoder.features, len(data.classes))
        self.criterion = self.build_loss()

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        inputs: Tensor = self.augment(batch.inputs, random)
        return inputs

    def mix(
        self, inputs: Tensor, targets: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        if self.mixup is None:
            return inputs, targets
        if targets.dim() == 1:
            targets = F.one_hot(targets, len(self.bench.dataset.classes)).to(inputs.dtype)
        mixed: tuple[Tensor, Tensor] = self.mixup(inputs, targets, random)
        return mixed

    def forward(self, inputs: Tensor) -> Tensor:
        assert self.classifier is not None
        logits: Tensor = self.classifier(self.encoder(inputs))
        return logits

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        values = {"loss": self.compare(outputs, batch)}
        if batch.targets.dim() == 1:
            values["top1"] = (outputs.argmax(1) == batch.targets).float().mean()
        return values
