"""One part of the training split after another: a stream of tasks that are never seen again.

The split is cut into `parts` equal ones, in the order of its samples; each is gone through `passes`
times, shuffled anew, before the next one. A last partial batch of a pass is left out. One epoch is
the whole stream, so a run has `engine.epochs=1`.

Raises BadRequest if a part has not one batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component


@component("sampler")
class InOrder:
    def __init__(self, *, parts: Count, passes: Count = 1) -> None:
        self.parts, self.passes = parts, passes

    def epoch(self, targets: Tensor, batch_size: int, random: torch.Generator) -> Tensor:
        size = len(targets) // self.parts
        steps = size // batch_size
        if not steps:
            what = f"each of {self.parts} parts has {size} samples, less than a batch"
            raise BadRequest(f"sampler.parts={self.parts}: {what} of {batch_size}")
        drawn = [
            part * size + torch.randperm(size, generator=random)[: steps * batch_size]
            for part in range(self.parts)
            for _ in range(self.passes)
        ]
        return torch.cat(drawn).view(-1, batch_size)
