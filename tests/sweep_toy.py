"""A plug-in of ppr for the sweep tests: a tiny task in the real training loop, slow or mortal."""

from __future__ import annotations

import math
import os
import signal
import time

import torch
from torch import Tensor, nn

from ppr.data.dataset import Dataset, Split
from ppr.engine.batches import Batch
from ppr.engine.bench import Bench, Outcome
from ppr.engine.loop import Loop
from ppr.engine.training import TrainingTask
from ppr.errors import RunFailed
from ppr.fields import NonNegative, Positive, Whole
from ppr.registry import component


@component("dataset", name="sweep_toy_points")
class Points:
    def __init__(self, root) -> None:
        del root

    def load(self) -> Dataset:
        inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
        split = Split(inputs, (inputs.sum(1) > 0).long())
        return Dataset("points", split, None, split, (4,), ("no", "yes"), (), (), "0" * 64)


@component("optimizer", name="sweep_toy_descent")
class Descent:
    """Plain descent: torch's own optimizers take seconds to import what they do not need here."""

    def __init__(self, model: nn.Module) -> None:
        self.param_groups = [{"params": list(model.parameters()), "lr": 0.05}]

    def zero_grad(self, set_to_none: bool) -> None:
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for parameter in self.param_groups[0]["params"]:
            parameter.sub_(self.param_groups[0]["lr"] * parameter.grad)

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        assert not state


@component("task", name="sweep_toy")
class Toy(TrainingTask):
    """
    Args:
        rate: scales the noise of the inputs, so that it changes the result.
        step_seconds: how long a step takes at least.
        fails: the run fails at step 3.
        kills: how many times the process kills itself, at step 6.

    On validation it scores 1 at its last epoch if `rate` is 1, less before and beside that.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        rate: Positive = 1.0,
        step_seconds: NonNegative = 0.0,
        fails: bool = False,
        kills: Whole = 0,
    ) -> None:
        super().__init__(bench)
        self.rate, self.step_seconds, self.fails, self.kills = rate, step_seconds, fails, kills
        self.net = nn.Linear(4, 2)
        self.steps = 0

    def execute(self) -> Outcome:
        self.loop = Loop(self, self.bench)
        self.loop.fit(self._score if self.bench.settings.evaluate_every else lambda epoch: None)
        self.loop.metrics.close()
        self.loop.timing.close()
        return Outcome({"toy": {"weight": self.net.weight.double().sum().item()}})

    def _score(self, epoch: int) -> None:
        score = (epoch + 1) / self.bench.settings.epochs * math.exp(-(math.log(self.rate) ** 2))
        values = {"validation/toy/score": score, "validation/toy/loss": 1 - score}
        self.loop.metrics.write({"step": self.loop.step, "epoch": epoch + 1, **values})
        self.loop.metrics.flush()
        self.bench.watcher.evaluated(self.loop.step, epoch + 1, values)

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        time.sleep(self.step_seconds)
        if self.fails and self.loop.step == 3 and not (self.bench.folder / "mended").exists():
            raise RunFailed("it was told to fail")
        if self.loop.step == 6:
            self._perhaps_die()
        return batch.inputs + self.rate * torch.randn(batch.inputs.shape, generator=random)

    def _perhaps_die(self) -> None:
        with (self.bench.folder / "kills").open("a") as file:
            if file.tell() < self.kills:
                file.write("x")
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"loss": nn.functional.cross_entropy(outputs, batch.targets)}
