"""Contrastive learning: views of a batch are embedded, and a loss compares all with all.

Each sample is augmented `views` times; encoder and projection head give embeddings [N, V, D], which
a loss of the contrastive family takes with the labels [N]. The head is thrown away afterwards:
evaluators see the encoder's features (Chen et al. 2020, arXiv 2002.05709, section 2.1). For
fine-tuning, `freeze_norm` lets batch norm keep the statistics that it begins with.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.subject import Subject
from ppr.engine.training import TrainingTask
from ppr.fields import Count
from ppr.registry import component


@component("task", losses=("contrastive", "indexed"), features="sample")
class Contrast(TrainingTask):
    batch_wide: ClassVar[bool] = True
    reports_untrained: ClassVar[bool] = True

    def __init__(self, bench: Bench, *, views: Count = 2, freeze_norm: bool = False) -> None:
        super().__init__(bench)
        data = bench.dataset
        self.views = views
        self.freeze_norm = freeze_norm
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        self.encoder = bench.build("model", data.shape)
        self.head = bench.build("head", self.encoder.features, len(data.classes))
        self.criterion = self.build_loss()

    def begin(self) -> None:
        """Show the loss the first embeddings of the training split, if it is centred on them."""
        criterion: Any = self.criterion
        if not hasattr(criterion, "centre_on"):
            return
        subject = Subject(
            encoder=self.encoder,
            network=self,
            dataset=self.bench.dataset,
            transform=self.augment.plain,
            device=self.bench.device,
        )
        criterion.centre_on(torch.cat([found for found, _ in subject.outputs("train")]))

    def train(self, mode: bool = True) -> Contrast:
        super().train(mode)
        if self.freeze_norm:
            for part in self.modules():
                if isinstance(part, _NormBase):
                    part.eval()
        return self

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        return self.augmented(batch.inputs, random)

    def augmented(self, inputs: Tensor, random: torch.Generator) -> Tensor:
        repeats = (self.views,) + (1,) * (inputs.dim() - 1)
        views: Tensor = self.augment(inputs.repeat(repeats), random)
        return views

    def forward(self, inputs: Tensor) -> Tensor:
        embeddings: Tensor = self.head(self.encoder(inputs))
        return embeddings

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.compare(self.by_sample(outputs), batch)}

    def by_sample(self, outputs: Tensor) -> Tensor:
        return outputs.view(self.views, -1, outputs.shape[-1]).transpose(0, 1)

    def embed_pairs(self, inputs: Tensor, random: torch.Generator) -> Tensor:
        """The first two views of each sample, [N, 2, D], for evaluators and samplers."""
        return self.by_sample(self(self.augmented(inputs, random)))[:, :2]
