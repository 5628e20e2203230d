"""Seeds of one variant trained together: each keeps its own loop, a vectorised step serves all.

The weights of S tasks lie in one tensor each, [S, ...], of which a task's own parameters and
buffers are views. So evaluators, checkpoints, moving averages and logs are those of S ordinary
runs, with an ordinary run's files; the step alone is shared. A checkpoint of one seed can be taken
up by a run on its own, and the other way round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ppr.engine.batches import Batch, Batches
from ppr.engine.learner import Learner
from ppr.engine.loop import Loop
from ppr.engine.train import Training
from ppr.engine.vectorise import SOUND, Refused, VectorisedStep, plain_attributes
from ppr.errors import RunFailed
from ppr.optimizers.norms import clip
from ppr.optimizers.two_pass import TwoPass

ELEMENTWISE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimizers in which no number of a weight touches another: one step on stacked weights is that of
every seed. Others (LARS, Muon) take a step for each seed, on its own weights."""


class StackedLoop(Loop):
    """`Loop.fit` for several seeds at once.

    Args:
        trainings: one for each seed, of the same config but for the seed.
        failed: is told which training has failed, and how; the others go on.
    """

    def __init__(
        self, trainings: Sequence[Training], failed: Callable[[Training, RunFailed], None]
    ) -> None:
        self.trainings, self.failed = list(trainings), failed
        self.loops = [training.loop for training in trainings]
        lead = self.loops[0]
        vars(self).update(vars(lead))  # schedule, settings, …: what the seeds share is the first's
        self.batches: Any = StackedBatches([loop.batches for loop in self.loops])
        self.ema = None
        for loop in self.loops:
            loop.sharing = len(self.loops)
        _refuse_differences([loop.task for loop in self.loops])
        if isinstance(lead.optimizer, TwoPass):
            raise Refused("the optimizer takes two passes a step")
        self.weights = stack_weights([loop.task for loop in self.loops])
        self.parameters = dict(lead.task.named_parameters())
        self.optimizers = self._stack_optimizers()
        self.draws = _draws(lead)
        self.vectorised = VectorisedStep(
            lead.task, self.weights, prepares=not self.draws, precision=lead.bench.precision
        )
        self._gradients: list[Tensor] = []
        self._values: list[dict[str, Tensor]] = []
        self._numbers: list[int] = []

    # ------------------------------------------------------------------ a step

    def update(self, batch: Batch) -> None:
        """One optimizer step of every seed."""
        if self.draws:
            batch = self._prepared(batch)
        values, gradients = self.vectorised(batch)
        self._hand_out(gradients)
        if self.settings.clip_norm is not None:
            for loop in self.loops:
                clip(loop.task.parameters(), self.settings.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        for loop in self.loops:
            if loop.ema is not None:
                loop.ema.update()
        self._values.append(values)
        self._numbers.append(self.step + 1)

    def set_rate(self) -> None:
        factor = self.factor(self.step)
        for optimizer in self.optimizers:
            for group, base in zip(optimizer.param_groups, self.base_rates, strict=True):
                group["lr"] = base * factor

    def _prepared(self, batch: Batch) -> Batch:
        """Augmented inputs, each seed's from its own stream."""
        inputs = [
            loop.task.prepare(Batch(*parts), loop.random)
            for loop, *parts in zip(
                self.loops, batch.inputs, batch.targets, batch.indices, strict=True
            )
        ]
        return Batch(torch.stack(inputs), batch.targets, batch.indices)

    def _hand_out(self, gradients: list[Tensor]) -> None:
        """Give each seed's parameters their part of the gradients, which the losses reach."""
        if not self._gradients:
            for name in self.vectorised.used:
                whole = self.weights[name].grad = torch.zeros_like(self.weights[name])
                self._gradients.append(whole)
                for loop, own in zip(self.loops, whole, strict=True):
                    loop.task.get_parameter(name).grad = own
        torch._foreach_copy_(self._gradients, gradients)

    # ------------------------------------------------------------------ what each seed does

    def _each(self, action: Callable[[Training], None]) -> None:
        """Do something for every seed that has not failed, with its loop brought up to date."""
        self._bring_up_to_date()
        for training in list(self.trainings):
            try:
                action(training)
            except RunFailed as error:
                self.trainings.remove(training)
                self.failed(training, error)
        if self.trainings:
            self.trainings[0].bench.watcher = self.bench.watcher  # one seed's progress is shown
        else:
            self.total = self.step  # nothing is left to train

    def _bring_up_to_date(self) -> None:
        rates = [group["lr"] for group in self.optimizers[0].param_groups]
        since = {
            key: torch.stack([values[key] for values in self._values], 1)
            for key in (self._values[0] if self._values else ())
        }
        for seed, loop in enumerate(self.loops):
            loop.step = self.step
            if since:
                own = {key: values[seed] for key, values in since.items()}
                sound = own.pop(SOUND)
                loop.meter.extend(self._numbers, own, sound)
            for group, rate in zip(loop.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        self._values.clear()
        self._numbers.clear()

    def log(self) -> None:
        self._each(lambda training: training.loop.log())

    def after_epoch(self, epoch: int) -> None:
        """Let each seed do what it does after an epoch."""

        def end(training: Training) -> None:
            training.loop._since = time.perf_counter()  # others' evaluations are not its training
            training.loop.end_epoch(epoch, training.monitor.after_epoch)

        self._each(lambda training: training.loop._count_time())
        self._each(end)
        self._start_clocks()

    def save(self) -> None:
        """A checkpoint in each seed's own directory."""
        if self.optimizers[0] is not self.loops[0].optimizer:
            self._unstack_optimizer()
        self._each(lambda training: training.loop.save())
        self._saved = time.perf_counter()

    def resume(self) -> None:
        """Take up each seed's own checkpoint; the caller brings together those of one step."""
        for loop in self.loops:
            loop.resume()
        (self.step,) = {loop.step for loop in self.loops}
        if self.optimizers[0] is not self.loops[0].optimizer:
            self._stack_optimizer_state()
        self._start_clocks()
        for loop in self.loops:
            loop._logged = loop.seconds

    def _start_clocks(self) -> None:
        now = time.perf_counter()
        for loop in self.loops:
            loop._since = now

    # ------------------------------------------------------------------ the optimizer

    def _stack_optimizers(self) -> list[torch.optim.Optimizer]:
        own = self.loops[0].optimizer
        if type(own) not in ELEMENTWISE:
            return [loop.optimizer for loop in self.loops]
        stacked = {self.parameters[name]: self.weights[name] for name in self.parameters}
        groups = [
            {**group, "params": [stacked[parameter] for parameter in group["params"]]}
            for group in own.param_groups
        ]
        return [type(own)(groups)]

    def _stack_optimizer_state(self) -> None:
        (optimizer,) = self.optimizers
        for name in self.parameters:
            states = [loop.optimizer.state[loop.task.get_parameter(name)] for loop in self.loops]
            if any(states):
                optimizer.state[self.weights[name]] = {
                    key: torch.stack([state[key] for state in states]) if key != "step" else value
                    for key, value in states[0].items()
                }

    def _unstack_optimizer(self) -> None:
        (optimizer,) = self.optimizers
        for seed, loop in enumerate(self.loops):
            for name in self.parameters:
                loop.optimizer.state[loop.task.get_parameter(name)] = {
                    key: (value[seed] if key != "step" else value).clone()
                    for key, value in optimizer.state[self.weights[name]].items()
                }


class StackedBatches:
    """Batches with the seeds in front, [S, B, ...], from one copy of the data."""

    def __init__(self, seeds: Sequence[Batches]) -> None:
        self.seeds, self.lead = seeds, seeds[0]
        if not self.lead.resident:
            raise Refused("needs data that stay on the device (engine.resident_gb)")
        if self.lead.chooses:
            raise Refused("the sampler looks at each seed's embeddings")
        for other in seeds[1:]:
            other.inputs_here, other.targets_here = self.lead.inputs_here, self.lead.targets_here
        self.steps_per_epoch = self.lead.steps_per_epoch

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from its step `start` on, in each seed's own order."""
        orders = [batches.order(number)[start:] for batches in self.seeds]
        inputs, targets = self.lead.inputs_here, self.lead.targets_here
        for indices in torch.stack(orders, 1).to(self.lead.device):
            rows = indices.flatten()
            yield Batch(
                inputs.index_select(0, rows).unflatten(0, indices.shape),
                targets.index_select(0, rows).unflatten(0, indices.shape),
                indices,
            )


def stack_weights(tasks: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Parameters and buffers by name, [S, ...], of which the tasks' own become views."""
    weights: dict[str, Tensor] = {}
    for kind in ("named_parameters", "named_buffers"):
        for seeds in zip(*(getattr(task, kind)() for task in tasks), strict=True):
            name, first = seeds[0]
            whole = torch.stack([tensor.detach() for _, tensor in seeds])
            weights[name] = whole.requires_grad_(first.requires_grad)
            for (_, tensor), own in zip(seeds, whole.detach(), strict=True):
                tensor.data = own
    for task in tasks:
        task.register_state_dict_post_hook(_own_copies)  # type: ignore[no-untyped-call]
    return weights


def _own_copies(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """A saved view would bring the weights of all seeds with it."""
    for name, value in state.items():
        state[name] = value.clone()


def _draws(loop: Loop) -> bool:
    """Whether preparing a batch takes random numbers; those that this takes are given back."""
    before = loop.random.get_state()
    loop.task.prepare(next(iter(loop.batches.epoch(0))), loop.random)
    drew = not torch.equal(before, loop.random.get_state())
    loop.random.set_state(before)
    return drew


def _refuse_hooks(task: Learner) -> None:
    own = [
        name
        for name in ("after_step", "advance")
        if getattr(type(task), name) is not getattr(Learner, name)
    ]
    for name in ["mix", *own] if task.mixes else own:
        raise Refused(f"the task has a {name} of its own in every step")
    criterion: Any = getattr(task, "criterion", None)
    if hasattr(criterion, "bound") and list(criterion.parameters()):
        raise Refused("the loss bounds what it learns after every step")
    if hasattr(criterion, "advance"):
        raise Refused("the loss changes in the course of training")


def _refuse_differences(tasks: Sequence[Learner]) -> None:
    """The modules of one task serve all: they may differ in nothing but weights."""
    settings = []
    for task in tasks:
        _refuse_hooks(task)
        task.train()
        settings.append([space[key] for space, key in plain_attributes(task)])
    if any(other != settings[0] for other in settings[1:]):
        raise Refused("the seeds' models differ in more than their weights")
