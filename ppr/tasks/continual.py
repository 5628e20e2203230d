"""Continual classification: a stream of tasks, each learnt after the one before, none kept.

The data set says which task a sample is of (`Split.extra["task"]`, tasks in the order of the
samples), `sampler=in_order` takes them one by one, and the network goes on from task to task. When
one has been learnt, accuracy is measured on the test samples of every task so far
(ppr/tasks/per_task.py: `final`, `learning`, `forgetting`).

A network that loses its plasticity learns later tasks worse than earlier ones. With o_t the online
accuracy on task t, of its training samples, each batch before its own step, `online_first`,
`online_best` and `online_last` are means of o_t over the first tenth of the tasks, the best tenth,
and the last fifth, and `drop` is the best less the last; `dead` is the share of features that are 0
on all test samples of the last task when it has been learnt. All are metrics of `continual/`. The
measurements are buffers, so a resumed run has them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench, Outcome
from ppr.errors import BadRequest
from ppr.registry import component
from ppr.tasks.classify import Classify
from ppr.tasks.per_task import accuracies, scores, tasks_of


@component("task", losses="classification", targets="class", needs="stream")
class Continual(Classify):
    """
    Raises:
        BadRequest: the data set has no tasks, or the run more than one epoch.
    """

    of_sample: Tensor
    matrix: Tensor
    online: Tensor
    dead: Tensor
    at: Tensor

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        of_sample = tasks_of(bench.dataset)
        if bench.settings.epochs > 1:
            raise BadRequest(
                "engine.epochs: 1 here, the whole stream; sampler.passes=… for each task"
            )
        self.tasks = int(of_sample.max()) + 1
        self.register_buffer("of_sample", of_sample, persistent=False)
        self.register_buffer("matrix", torch.zeros(self.tasks, self.tasks))
        self.register_buffer("online", torch.zeros(self.tasks, 2))  # right, of all
        self.register_buffer("dead", torch.zeros(self.tasks))
        self.register_buffer("at", torch.zeros((), dtype=torch.int64))
        self._at: int | None = None  # `at` where it can be read without waiting for the device

    def advance(self, done: float) -> None:
        super().advance(done)
        if self._at is None:
            self._at = int(self.at)
        task = int(done * self.tasks + 1e-9)  # tasks have equally many steps
        if task > self._at:
            self._measure(self._at)
            self._at = task
            self.at.fill_(task)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        values = super().loss(outputs, batch)
        right = (outputs.detach().argmax(1) == batch.targets).sum()
        count = torch.full_like(right, len(batch.targets))
        self.online[self.of_sample[batch.indices[0]]] += torch.stack([right, count])
        return values

    def execute(self) -> Outcome:
        outcome = super().execute()
        self._measure(self.tasks - 1)
        return replace(outcome, metrics={**outcome.metrics, "continual": self.measured()})

    def _measure(self, learnt: int) -> None:
        found, features = accuracies(self, self.bench.dataset, learnt)
        self.matrix[learnt, : learnt + 1] = found
        self.dead[learnt] = (features == 0).all(0).float().mean()

    def measured(self) -> dict[str, float]:
        online = (self.online[:, 0] / self.online[:, 1].clamp(min=1)).double().cpu()
        tenth, fifth = max(1, self.tasks // 10), max(1, self.tasks // 5)
        best, last = online.unfold(0, tenth, 1).mean(1).max().item(), online[-fifth:].mean().item()
        return {
            **scores(self.matrix),
            "online_first": online[:tenth].mean().item(),
            "online_best": best,
            "online_last": last,
            "drop": best - last,
            "dead": self.dead[-1].item(),
        }
