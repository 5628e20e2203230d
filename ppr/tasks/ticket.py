"""Training a sparse network from its first weights, under a mask that was found before.

    found      the mask in model.pt of the run `inputs.mask` (task=mine, task=prune_iteratively), on
               the weights that it was found on
    shuffled   that mask with its entries shuffled inside each layer: a random mask of the same
               number of weights in every layer
    random     `keep` of all weights, at random over all layers
    snip       the weights of greatest |w dL/dw| on the whole training split, untrained (Lee et al.,
               "SNIP: Single-shot Network Pruning based on Connection Sensitivity", 2019)
    dense      all weights

With `redraw` the weights are drawn anew. What is not a weight of a linear or convolutional layer is
not trained (ppr/tasks/masks.py). Sanity checks of masks: Sreenivasan et al., "Rare Gems: Finding
Lottery Tickets at Initialization", 2022, section 2; Su et al., "Sanity-Checking Pruning Methods:
Random Tickets can Win the Jackpot", 2020. Metrics beside the evaluators': `mask/kept`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ppr.data.dataset import Split
from ppr.engine.batches import Batch
from ppr.engine.bench import Bench, Outcome
from ppr.engine.checkpoints import WEIGHTS, load_weights
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Fraction, Literal
from ppr.registry import component
from ppr.tasks.classify import Classify
from ppr.tasks.masks import MaskedLayers, signed_constant


@component("task")
class Ticket(Classify):
    """
    Raises:
        BadRequest: the input's network is another one.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        mask: Literal["found", "shuffled", "random", "snip", "dense"] = "found",
        keep: Fraction = 1.0,
        redraw: bool = False,
    ) -> None:
        super().__init__(bench)
        assert self.classifier is not None
        self.layers = MaskedLayers(self.encoder, self.classifier, seed=bench.seed)
        self.mask, self.keep, self.redraw = mask, keep, redraw

    def execute(self) -> Outcome:
        self.to(self.bench.device)
        if self.mask in ("found", "shuffled"):
            self._take_mask()
        elif self.mask != "dense":
            self.layers.keep(self._scores(), self.keep)
        if self.redraw:
            for number, weight in enumerate(self.layers.weights):
                weight.data = signed_constant(weight, self.bench.seed, number, "redrawn")
        outcome = super().execute()
        return replace(outcome, metrics={**outcome.metrics, "mask": {"kept": self.layers.kept}})

    def _take_mask(self) -> None:
        theirs = load_weights(self.bench.input_path("mask") / WEIGHTS)
        names = {id(tensor): name for name, tensor in self.state_dict(keep_vars=True).items()}
        for number, (mask, weight) in enumerate(
            zip(self.layers.masks, self.layers.weights, strict=True)
        ):
            alive, start = (theirs.get(names[id(own)]) for own in (mask.alive, weight))
            if alive is None or start is None or alive.shape != mask.alive.shape:
                said = self.bench.values["inputs"]["mask"]
                raise BadRequest(f"inputs.mask={said!r}: no mask for this network; model=…, head=…")
            if self.mask == "shuffled":
                alive = self._shuffled(alive, number)
            mask.alive.copy_(alive)
            weight.data.copy_(start)

    def _shuffled(self, alive: Tensor, number: int) -> Tensor:
        random = generator(torch.device("cpu"), self.bench.seed, "shuffle", number)
        order = torch.randperm(alive.numel(), generator=random)
        return alive.flatten()[order].view_as(alive)

    def _scores(self) -> list[Tensor]:
        if self.mask == "random":
            random = generator(torch.device("cpu"), self.bench.seed, "random mask")
            return [torch.rand(w.shape, generator=random).to(w) for w in self.layers.weights]
        train = self.bench.dataset.train
        assert isinstance(train, Split)
        everything = Batch(train.inputs, train.targets, torch.arange(len(train)))
        batch = Batch(*(part.to(self.bench.device) for part in vars(everything).values()))
        value = self.compare(self(self.augment.plain(batch.inputs)), batch)
        slopes = torch.autograd.grad(value, self.layers.weights)
        return [(w * g).abs() for w, g in zip(self.layers.weights, slopes, strict=True)]
