"""One training step of several seeds as one computation: vmap over their weights, then a trace.

`torch.func.vmap` of a task's three calls turns the layers of S models into batched ones: S linear
layers are one batched matrix product, S convolutions one grouped convolution (which a CPU computes
slowly: there, convolutional models gain little or nothing). One backward pass through the sum of
the S losses gives every seed its own gradient, since no weight is in two losses.

Small models spend their time in Python and in vmap's bookkeeping, not in arithmetic. So the step,
with its gradients, is traced once to the plain tensor operations that it comes to (`make_fx`),
which are then run alone. A trace is blind to Python: it is made anew when a number, flag or name
kept in a module changes, and a step that changes one itself, or draws random numbers, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

from ppr.engine.batches import Batch
from ppr.engine.device import autocast
from ppr.engine.learner import Learner
from ppr.engine.seeding import random_states
from ppr.errors import BadRequest

_PLAIN = (bool, int, float, str, tuple, type(None))

Values = dict[str, Tensor]

SOUND = "sound"
"""The name among a step's values of whether each seed's loss and gradient are finite."""


class Refused(BadRequest):
    """The step cannot be computed for several seeds at once."""

    def __init__(self, why: str) -> None:
        super().__init__(f"engine.seeds_per_process: {why}; use engine.seeds_per_process=1")


class VectorisedStep:
    """Calls `(batch) -> values, gradients` with a seed dimension in front of every tensor.

    Args:
        task: the task of any of the seeds; it lends its modules, not its weights.
        weights: its parameters and buffers by name, each [S, ...]. Buffers are updated in place.
        prepares: whether inputs come raw, and `task.prepare` is part of the step.
        precision: what autocast computes the outputs in.
    """

    def __init__(
        self, task: Learner, weights: dict[str, Tensor], *, prepares: bool, precision: str
    ) -> None:
        self.calls = _Calls(task)
        self.weights = {f"task.{name}": value for name, value in weights.items()}
        self.prepares, self.precision = prepares, precision
        self.seeds = len(next(iter(weights.values())))
        self._slots = plain_attributes(task)
        self._traced: Callable[..., list[Tensor]] | None = None
        self._constants: list[Any] = []
        self._maps_loss = True
        self.names: list[str] = []
        self.used: list[str] = []

    def __call__(self, batch: Batch) -> tuple[Values, list[Tensor]]:
        """The logged values [S], `SOUND` among them, and the gradients of the parameters `used`."""
        constants = [*batch.inputs.shape, *(space.get(key) for space, key in self._slots)]
        if self._traced is None or constants != self._constants:
            self._trace(batch)
            self._constants = constants
        assert self._traced is not None
        with torch.no_grad():
            found = self._traced(*self.weights.values(), batch.inputs, batch.targets, batch.indices)
        values = dict(zip(self.names, found, strict=False))
        return values, found[len(values) :]

    def _trace(self, batch: Batch) -> None:
        before = self._python_state()
        parts = (batch.inputs, batch.targets, batch.indices)
        try:
            self._maps_loss = self._can_map_loss(*parts)
            # on copies: a trace computes, and so moves the statistics of batch norm
            self._traced = make_fx(self._step)(*self._copies().values(), *parts)
        except RuntimeError as error:
            raise Refused(_reason(error)) from error
        after = self._python_state()
        if len(before) != len(after) or not all(map(_equal, before, after)):
            raise Refused("the task keeps a state of its own, or draws random numbers, in a step")

    def _step(self, *tensors: Tensor) -> list[Tensor]:
        weights = dict(zip(self.weights, tensors, strict=False))
        inputs, targets, indices = tensors[len(weights) :]
        outputs = self._outputs(weights, inputs, targets, indices)
        values = self._losses(weights, outputs, inputs, targets, indices)
        trained = {name: weight for name, weight in weights.items() if weight.requires_grad}
        gradients = torch.autograd.grad(
            values["loss"].sum(), list(trained.values()), allow_unused=True
        )
        found = {n: g for n, g in zip(trained, gradients, strict=True) if g is not None}
        values[SOUND] = _sound(values["loss"], list(found.values()))
        self.names = list(values)
        self.used = [name.removeprefix("task.") for name in found]
        return [value.detach() for value in values.values()] + list(found.values())

    def _outputs(self, weights: Values, *parts: Tensor) -> Tensor:
        def one(own: Values, *parts: Tensor) -> Tensor:
            batch = Batch(*parts)
            inputs = batch.inputs
            if self.prepares:
                inputs = functional_call(self.calls, own, ("prepare", batch, None))
            outputs: Tensor = functional_call(self.calls, own, ("forward", inputs))
            return outputs

        with autocast(parts[0].device, self.precision):
            outputs: Tensor = vmap(one)(weights, *parts)
        return outputs.float()

    def _losses(self, weights: Values, outputs: Tensor, *parts: Tensor) -> Values:
        """The loss's values for all seeds: mapped, or one seed after another if it cannot be."""

        def one(own: Values, outputs: Tensor, *parts: Tensor) -> Values:
            values: Values = functional_call(self.calls, own, ("loss", outputs, Batch(*parts)))
            return values

        if self._maps_loss:
            mapped: Values = vmap(one)(weights, outputs, *parts)
            return mapped
        each = [
            one({name: value[seed] for name, value in weights.items()}, *(x[seed] for x in inputs))
            for seed, inputs in enumerate([(outputs, *parts)] * self.seeds)
        ]
        return {key: torch.stack([values[key] for values in each]) for key in each[0]}

    def _can_map_loss(self, *parts: Tensor) -> bool:
        """Whether vmap takes the loss: not one with an autograd function of its own, say."""
        weights = self._copies()
        outputs = self._outputs(weights, *parts)
        self._maps_loss = True
        try:
            self._losses(weights, outputs, *parts)
        except RuntimeError:
            return False
        return True

    def _copies(self) -> Values:
        return {
            name: value.detach().clone().requires_grad_(value.requires_grad)
            for name, value in self.weights.items()
        }

    def _python_state(self) -> list[Any]:
        drawn = tree_leaves(random_states(next(iter(self.weights.values())).device))
        return [*drawn, *(space[key] for space, key in plain_attributes(self.calls))]


class _Calls(nn.Module):
    """A task's calls as one module's forward: what `functional_call` can hand weights to."""

    def __init__(self, task: Learner) -> None:
        super().__init__()
        self.task = task

    def forward(self, call: str, *parts: Any) -> Any:
        return getattr(self.task, call)(*parts)


def plain_attributes(module: nn.Module) -> Sequence[tuple[dict[str, Any], str]]:
    """Where the modules in `module` keep numbers, flags and names: namespaces and keys in them."""
    return [
        (space, key)
        for space in map(vars, module.modules())
        for key, value in space.items()
        if isinstance(value, _PLAIN)
    ]


def _sound(loss: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """Whether each seed's loss and gradient are finite, [S]."""
    most = [torch.linalg.vector_norm(g.flatten(1), math.inf, dim=1) for g in gradients]
    return torch.stack([loss, *most]).isfinite().all(0)


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


def _reason(error: RuntimeError) -> str:
    if "random operation" in str(error):
        return "the model or the loss draws random numbers in a step (dropout)"
    return str(error).strip().split("\n")[0]
