"""Distillation: a classifier learns from the labels and from a teacher's logits.

The teacher is `run`, the network of `inputs: {teacher: …}`, or `past`, the student itself as it was
at the end of the epoch before. Either sees the inputs that the student sees, augmented or mixed
alike, in eval mode and without a gradient; a loss of the distillation family compares the two,
loss(student_logits, teacher_logits, target).

An epoch of a `past` teacher is one of `engine.epochs` equal parts of the training. Its weights are
in the checkpoints, for a resumed run could not know them otherwise. In the first epoch it is the
student's start, from which there is nothing to learn; a loss that changes with training is told so:
its `advance` gets 0 there, and from then on the share of training that ends with the epoch.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.registry import component
from ppr.tasks.classify import Classify
from ppr.tasks.trained import trained


@component("task", losses="distillation", targets="class")
class Distill(Classify):
    past_epoch: Tensor

    def __init__(self, bench: Bench, *, teacher: Literal["run", "past"] = "run") -> None:
        super().__init__(bench)
        self.past: nn.Module | None = None
        if teacher == "past":
            self.past = copy.deepcopy(self._student()).requires_grad_(False)
            self.register_buffer("past_epoch", torch.zeros((), dtype=torch.int64))
            self._epoch: int | None = None  # what the buffer holds, read from the device once
        else:
            # In a tuple, so that it is no part of the task: its weights are in its own run.
            self._run = (trained(bench, "teacher"),)

    def _student(self) -> nn.Module:
        assert self.classifier is not None
        return nn.Sequential(self.encoder, self.classifier)

    def train(self, mode: bool = True) -> Distill:
        super().train(mode)
        if self.past is not None:
            self.past.eval()
        return self

    def advance(self, done: float) -> None:
        if self.past is None:
            super().advance(done)
            return
        epochs = self.bench.settings.epochs
        epoch = int(done * epochs + 1e-6)  # a step's share may lie a rounding below its epoch's
        if self._epoch is None:
            self._epoch = int(self.past_epoch)
        if epoch > self._epoch:
            theirs, own = self.past.state_dict(), self._student().state_dict()
            for name, value in theirs.items():
                value.copy_(own[name])
            self.past_epoch.fill_(epoch)
            self._epoch = epoch
        super().advance((epoch + 1) / epochs if epoch else 0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, C]; in training those of student and teacher, [N, 2, C]."""
        logits = super().forward(inputs)
        if not self.training:
            return logits
        teacher = self._run[0] if self.past is None else self.past
        with torch.no_grad():
            theirs = teacher(inputs)
        return torch.stack([logits, theirs.to(logits.dtype)], dim=1)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        student, teacher = outputs.unbind(1)
        values = {"loss": self.criterion(student, teacher, batch.targets)}
        if batch.targets.dim() == 1:
            values["top1"] = (student.argmax(1) == batch.targets).float().mean()
        return values
