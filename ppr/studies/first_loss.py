"""The loss of a classifier's first batch, before any step: how stably a run would start.

Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, section 3.3: under a great
imbalance, initial outputs of probability 1/2 make a first loss that swamps the foreground's. Data,
augmentation, initialisation and batch are those of a `classify` run with the same config and seed.

Metric: `start/loss`.
"""

from __future__ import annotations

import torch

from ppr.engine.bench import Outcome
from ppr.engine.loop import Loop
from ppr.registry import component
from ppr.tasks.classify import Classify


@component("task")
class FirstLoss(Classify):
    def execute(self) -> Outcome:
        self.to(self.bench.device)
        self.train()
        loop = Loop(self, self.bench)
        batch = next(iter(loop.batches.epoch(0)))
        with torch.no_grad():
            loss = self.loss(self(self.prepare(batch, loop.random)), batch)["loss"]
        return Outcome(metrics={"start": {"loss": loss.item()}})
