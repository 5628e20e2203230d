"""Classification under a loss that looks at groups, and at what rejected samples could become.

As `classify`, but the loss is called with the group of each sample, `Split.extra["group"]`. With
`effort` above 0 every sample is seen twice, as it is and after the best effort of that size (see
evaluators/fairness/effort.py), found with the weights as they are before the step: logits are
[N, 2, C] then, else [N, C].
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.data.dataset import Split
from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.evaluators.fairness.effort import best_effort, improvable_inputs
from ppr.fields import Count, NonNegative
from ppr.registry import component
from ppr.tasks.classify import Classify


@component("task", losses="fair", targets="class", needs="groups")
class ClassifyGroups(Classify):
    """
    Raises:
        BadRequest: the data set has no groups, or does not say what effort can change.
    """

    batch_wide = True
    group: Tensor
    improvable: Tensor

    def __init__(self, bench: Bench, *, effort: NonNegative = 0.0, steps: Count = 1) -> None:
        super().__init__(bench)
        train = bench.dataset.train
        if not isinstance(train, Split) or "group" not in train.extra:
            name = bench.dataset.name
            raise BadRequest(f"dataset={name}: has no groups; task classify_groups needs them")
        self.register_buffer("group", train.extra["group"], persistent=False)
        self.effort, self.steps = effort, steps
        self.views = 2 if effort else 1
        if effort:
            room = improvable_inputs(bench.dataset, f"task.effort={effort}")
            self.register_buffer("improvable", room, persistent=False)

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        inputs = super().prepare(batch, random)
        if not self.effort:
            return inputs
        best = best_effort(self, inputs, self.improvable, self.effort, self.steps)
        return torch.cat([inputs, best])

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        logits = outputs.view(self.views, -1, outputs.shape[-1]).transpose(0, 1)
        now = logits[:, 0]
        value = self.criterion(
            logits if self.effort else now, batch.targets, self.group[batch.indices]
        )
        return {"loss": value, "top1": (now.argmax(1) == batch.targets).float().mean()}
