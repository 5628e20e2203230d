"""Iterative magnitude pruning: train, drop the smallest weights, go back to the start, and again.

Frankle and Carbin, "The Lottery Ticket Hypothesis", 2019, section 1. The run's epochs are cut into
`cycles` equal ones; after the k-th a share keep^(k/cycles) of all weights is left and these are
what they were drawn as. Magnitudes of all layers are compared together, each relative to the
constant that its weights started at: raw ones would empty the layers of small constants. The
momentum of the optimizer goes on from cycle to cycle.

The last cycle ends with a pruning too, so that model.pt has the mask and the weights as drawn, for
`task=ticket`. Metrics: `mask/kept`; the evaluators measure the last cycle's network, trained,
before that pruning.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ppr.engine.bench import Bench, Outcome
from ppr.engine.checkpoints import WEIGHTS, save_weights
from ppr.fields import Count, Fraction
from ppr.registry import component
from ppr.tasks.classify import Classify
from ppr.tasks.masks import MaskedLayers, signed_constant


@component("task")
class PruneIteratively(Classify):
    cycle: Tensor

    def __init__(self, bench: Bench, *, keep: Fraction, cycles: Count = 5) -> None:
        super().__init__(bench)
        assert self.classifier is not None
        self.layers = MaskedLayers(self.encoder, self.classifier, seed=bench.seed)
        self.keep, self.cycles = keep, cycles
        self.register_buffer("cycle", torch.zeros((), dtype=torch.int64))
        self._cycle: int | None = None  # `cycle` where it is read without waiting for the device

    def advance(self, done: float) -> None:
        super().advance(done)
        if self._cycle is None:
            self._cycle = int(self.cycle)
        cycle = int(done * self.cycles + 1e-9)
        if cycle > self._cycle:
            self._prune(cycle)

    def execute(self) -> Outcome:
        outcome = super().execute()
        self._prune(self.cycles)
        save_weights(self.bench.folder / WEIGHTS, self.state_dict())
        return replace(outcome, metrics={**outcome.metrics, "mask": {"kept": self.layers.kept}})

    @torch.no_grad()
    def _prune(self, cycle: int) -> None:
        starts = [
            signed_constant(weight, self.bench.seed, number)
            for number, weight in enumerate(self.layers.weights)
        ]
        pairs = list(zip(self.layers.weights, starts, strict=True))
        self.layers.keep(
            [(w / start).abs() for w, start in pairs], self.keep ** (cycle / self.cycles)
        )
        for weight, start in pairs:
            weight.copy_(start)
        self._cycle = cycle
        self.cycle.fill_(cycle)
