"""Batches of P classes with K samples each, as losses over pairs and triplets need them.

Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification",
arXiv:1703.07737, section 2: "randomly sampling P classes, and then randomly sampling K images of
each class". K is `per_class`, P = batch size / K.

The classes come in a random order, each once before any comes again; so P different ones make a
batch. A class's samples are drawn anew for each batch, without repeats, but where it has fewer than
K all of them appear and then some again. An epoch has as many steps as if every sample were shown
once.

Raises BadRequest if the batch is no multiple of `per_class`, or the data has too few classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component


@component("sampler")
class ClassBalanced:
    def __init__(self, *, per_class: Count = 4) -> None:
        self.per_class = per_class

    def epoch(self, targets: Tensor, batch_size: int, random: torch.Generator) -> Tensor:
        """The sample numbers of every step: int64 [steps, batch_size]."""
        members = [(targets == c).nonzero().flatten() for c in torch.unique(targets)]
        shown, rest = divmod(batch_size, self.per_class)
        if rest:
            raise BadRequest(
                f"engine.batch_size={batch_size}: must be a multiple of "
                f"sampler.per_class={self.per_class}"
            )
        if shown > len(members):
            raise BadRequest(
                f"engine.batch_size={batch_size}: {shown} classes of sampler.per_class="
                f"{self.per_class} samples; the training split has {len(members)}"
            )
        steps = len(targets) // batch_size
        passes, per_pass = [], len(members) // shown
        for _ in range(-(-steps // per_pass)):
            order = torch.randperm(len(members), generator=random)
            passes.append(order[: per_pass * shown].view(per_pass, shown))
        classes = torch.cat(passes)[:steps] if passes else torch.empty(0, shown, dtype=torch.int64)
        rows = [self._draw(members[c], random) for c in classes.flatten().tolist()]
        return torch.stack(rows).view(steps, batch_size)

    def _draw(self, members: Tensor, random: torch.Generator) -> Tensor:
        rounds = -(-self.per_class // len(members))
        orders = [torch.randperm(len(members), generator=random) for _ in range(rounds)]
        return members[torch.cat(orders)[: self.per_class]]
