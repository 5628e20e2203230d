"""Gem-Miner: which weights to keep is learnt, while the weights stay as they were drawn.

Sreenivasan et al., "Rare Gems: Finding Lottery Tickets at Initialization", 2022, algorithm 1. Every
weight w has a score p, U(0, 1) at the start; the network runs with w * round(p), the gradient
passes to p as if it were not rounded, and p is clamped to [0, 1] after each step:

    min over p  loss(w * round(p)) + penalty |p|^2

After every `period` epochs, but not after the last, the weights of lowest p are gone for good:
P = floor((epochs - 1) / period) times a share keep^(1/P) of what is left stays, over all layers
together, so exactly `keep` of all is left. That set is the mask (main.py and utils/net_utils.py of
https://github.com/ksreenivasan/pruning_is_enough, where `unflag_before_finetune` also takes back
weights that p rounded away). It is in the run's model.pt, for `task=ticket`.

Metrics: `mask/kept`; the evaluators measure the masked network with its weights untrained.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench, Outcome
from ppr.fields import Count, Fraction, NonNegative
from ppr.registry import component
from ppr.tasks.classify import Classify
from ppr.tasks.masks import MaskedLayers


@component("task")
class Mine(Classify):
    pruned: Tensor

    def __init__(
        self, bench: Bench, *, keep: Fraction, period: Count = 1, penalty: NonNegative = 1e-5
    ) -> None:
        super().__init__(bench)
        assert self.classifier is not None
        self.layers = MaskedLayers(self.encoder, self.classifier, seed=bench.seed, scored=True)
        self.keep, self.penalty = keep, penalty
        self.epochs_a_pruning = period / bench.settings.epochs
        self.prunings = (bench.settings.epochs - 1) // period
        self.register_buffer("pruned", torch.zeros((), dtype=torch.int64))
        self._pruned: int | None = None  # `pruned` where it is read without waiting for the device

    def advance(self, done: float) -> None:
        super().advance(done)
        if self._pruned is None:
            self._pruned = int(self.pruned)
        due = min(int(done / self.epochs_a_pruning + 1e-9), self.prunings)
        if due > self._pruned:
            scores = [mask.score for mask in self.layers.masks]
            self.layers.keep(scores, self.keep ** (due / self.prunings))
            self._pruned = due
            self.pruned.fill_(due)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        values = super().loss(outputs, batch)
        squares = [mask.score.square().sum() for mask in self.layers.masks]
        values["loss"] = values["loss"] + self.penalty * torch.stack(squares).sum()
        return values

    def after_step(self) -> None:
        for mask in self.layers.masks:
            mask.score.clamp_(0, 1)

    def execute(self) -> Outcome:
        outcome = super().execute()
        return replace(outcome, metrics={**outcome.metrics, "mask": {"kept": self.layers.kept}})
