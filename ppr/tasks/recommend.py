"""Recommendation from implicit feedback: items a user chose are to outrank those not chosen.

A step takes interactions (u, i) and, for each, negatives j, and asks a loss of the ranking family
for `loss(f(u, i) [N], f(u, j) [N, M], chances)`. A negative is drawn

    with chance 1 - noise   uniformly from the items that u did not choose
    with chance noise       uniformly from u's hidden items, where it has any

The hidden ones (`dataset.hidden`) were chosen by u but taken out of training: false negatives, as
in appendix B.1 of Yang et al., "PSL", NeurIPS 2024. There, as in uniform_sampler.cpp of
Tiny-Snow/IR-Benchmark, an item that the user chose is never drawn from the others.

`negatives` is how many are drawn an interaction. Without it the loss is given all items with the
chances that each has: the expectation over draws, exact, for catalogues small enough.

The model is a recommender (see ppr/models/matrix_factorisation.py); the network's outputs for users
[N, 1] are the scores of all items.

Raises BadRequest for data that are no feedback, for noise without hidden items, and for a user to
whom no item is left.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.training import TrainingTask
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction
from ppr.registry import component

SPARSE = 32
"""Items for each one named, above which naming them one by one is quicker than scoring all: the
product of matrices does some sixty times as many numbers a second as the gathering of rows."""


@component("task", losses="ranking", inputs="user", targets="item", features="sample")
class Recommend(TrainingTask):
    reports_untrained: ClassVar[bool] = True
    users: Tensor
    chosen: Tensor
    chosen_count: Tensor
    hidden: Tensor
    hidden_count: Tensor

    def __init__(
        self, bench: Bench, *, negatives: Count | None = None, noise: Fraction = 0.0
    ) -> None:
        super().__init__(bench)
        data: Any = bench.dataset
        if "users" not in data.extra:
            raise BadRequest(f"task.name=recommend: {data.name} is no feedback of users on items")
        self.negatives, self.noise, self.items = negatives, noise, len(data.classes)
        self.augment = bench.build("augment", data.shape, data.mean, data.std)
        self.encoder: Any = bench.build("model", data.shape)
        self.encoder.see(data)
        self.criterion = self.build_loss()
        hidden, users = data.extra["hidden"], data.extra["users"]
        if noise and not len(hidden) and not bench.values["data"]["synthetic"]:
            raise BadRequest(f"task.noise={noise}: no hidden items; set dataset.hidden")
        train = torch.cat([data.train.inputs, data.train.targets[:, None]], 1)
        tables = {"chosen": torch.cat([train, hidden]), "hidden": hidden}
        for name, pairs in tables.items():
            table, count = by_user(pairs, users, self.items)
            self.register_buffer(name, table, persistent=False)
            self.register_buffer(f"{name}_count", count, persistent=False)
        self.register_buffer("users", train[:, 0], persistent=False)
        if self.chosen_count.max() == self.items:
            raise BadRequest(f"task.name=recommend: a user of {data.name} chose every item")

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        """Users [N, 1]; before negatives that are drawn, [N, 2 + M]: user, chosen item, others."""
        if self.negatives is None:
            return batch.inputs
        drawn = self.draw(batch.inputs[:, 0], self.negatives, random)
        return torch.cat([batch.inputs, batch.targets[:, None], drawn], dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of all items, or of those that the inputs name after the user."""
        users, items, named = self.encoder(inputs[:, :1]), self.encoder.items(), inputs[:, 1:]
        scores: Tensor
        if self.items > SPARSE * named.shape[1] > 0:
            scores = (F.embedding(named, items) @ users[:, :, None]).squeeze(2)
        else:
            scores = users @ items.T
            scores = scores.gather(1, named) if named.shape[1] else scores
        return scores

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        if self.negatives is not None:
            return {"loss": self.criterion(outputs[:, 0], outputs[:, 1:])}
        positive = outputs.gather(1, batch.targets[:, None])[:, 0]
        chances = self.chances(self.users[batch.indices]).to(outputs.dtype)
        return {"loss": self.criterion(positive, outputs, chances)}

    def draw(self, users: Tensor, count: int, random: torch.Generator) -> Tensor:
        """Items [N, count] that stand against what the users [N] chose."""
        taken = self.chosen[users]
        ranks = numbers_below(self.items - self.chosen_count[users], count, random)
        # The r-th item not chosen is r + #{k : chosen_k - k <= r} for sorted chosen_k.
        before = taken - torch.arange(taken.shape[1], device=taken.device)
        before = before.masked_fill(taken == self.items, self.items)
        drawn = ranks + torch.searchsorted(before, ranks, right=True)
        if not self.noise:
            return drawn
        known = self.hidden_count[users]
        false = self.hidden[users].gather(1, numbers_below(known, count, random))
        wrong = torch.rand(drawn.shape, generator=random, device=drawn.device) < self.noise
        return torch.where(wrong & (known > 0)[:, None], false, drawn)

    def chances(self, users: Tensor) -> Tensor:
        """The chance [N, items] that `draw` gives each item, float32; rows sum to 1."""
        known = self.hidden_count[users]
        noise = self.noise * (known > 0)
        others = (1 - noise) / (self.items - self.chosen_count[users])
        # One column more, which the padding of the tables points at.
        found = others[:, None].repeat(1, self.items + 1).scatter_(1, self.chosen[users], 0.0)
        false = (noise / known.clamp(min=1))[:, None].expand(-1, self.hidden.shape[1])
        return found.scatter_(1, self.hidden[users], false)[:, : self.items]


def by_user(pairs: Tensor, users: int, items: int) -> tuple[Tensor, Tensor]:
    """Each user's items, each once, ascending, [users, most + 1]; and how many, [users].

    Behind them is `items`, which is no item's number.
    """
    numbers = torch.unique(pairs[:, 0] * items + pairs[:, 1])
    owners, chosen = numbers // items, numbers % items
    count = torch.bincount(owners, minlength=users)
    place = torch.arange(len(numbers)) - (count.cumsum(0) - count)[owners]
    table = torch.full((users, int(count.max()) + 1), items, dtype=torch.int64)
    table[owners, place] = chosen
    return table, count


def numbers_below(limits: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Whole numbers [N, count], uniform from 0 to below each limit [N]; 0 where that is 0."""
    shares = torch.rand(len(limits), count, generator=random, device=limits.device)
    # Rounding may take a share near 1 up to the limit itself.
    return torch.minimum((shares * limits[:, None]).long(), (limits[:, None] - 1).clamp(min=0))
