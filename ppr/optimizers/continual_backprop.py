"""Continual backpropagation: SGD that now and then makes the least useful hidden units anew.

Dohare et al., "Loss of Plasticity in Deep Continual Learning", 2023, algorithm 1. For the units i
of a hidden layer, after each step, with h_i their mean absolute value over the batch:

    u_i <- decay u_i + (1 - decay) h_i sum_k |w_out_ki|,     age_i <- age_i + 1
    due <- due + rate * (number of units of age above `maturity`)

While `due` is at least 1, the mature unit of least u_i / (1 - decay^age_i) is replaced: its
incoming weights are drawn as at the start (torch's for linear layers, U(-b, b), b = 1 / sqrt(fan
in)), its bias and outgoing weights are 0, and so are its utility, its age and the momentum of those
weights.

The utility is "contribution" of https://github.com/shibhansh/loss-of-plasticity, lop/algos/gnt.py
(which that code offers beside the "adaptable" one of its regression runs), with `accumulate` on.
Layers are the linear ones of the model in the order in which they are registered, where the outputs
of one are as many as the inputs of the next. `rate` 0 is SGD.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ppr.fields import BelowOne, Count, Fraction, NonNegative, Positive
from ppr.optimizers.groups import decay_groups
from ppr.registry import component


@component("optimizer")
class ContinualBackprop(torch.optim.SGD):
    def __init__(
        self,
        model: nn.Module,
        *,
        lr: Positive,
        momentum: BelowOne = 0.0,
        weight_decay: NonNegative = 0.0,
        rate: Fraction = 1e-4,
        maturity: Count = 100,
        decay: BelowOne = 0.99,
    ) -> None:
        super().__init__(
            decay_groups(model.parameters(), weight_decay, True), lr=lr, momentum=momentum
        )
        self.rate, self.maturity, self.decay = rate, maturity, decay
        linear = [part for part in model.modules() if isinstance(part, nn.Linear)]
        self.layers = [
            (before, after)
            for before, after in itertools.pairwise(linear)
            if before.out_features == after.in_features
        ]
        self.activity: dict[nn.Linear, Tensor] = {}
        for before, after in self.layers:
            after.register_forward_pre_hook(self._watch(before))

    def _watch(self, layer: nn.Linear) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if module.training:
                self.activity[layer] = inputs[0].detach().float().abs().flatten(0, -2).mean(0)

        return note

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        value = super().step(closure)
        for before, after in self.layers:
            self._renew(before, after)
        return value

    def _renew(self, before: nn.Linear, after: nn.Linear) -> None:
        state = self.state[before.weight]
        if "utility" not in state:
            state["utility"] = torch.zeros_like(before.weight[:, 0])
            state["age"] = torch.zeros_like(before.weight[:, 0])
            state["due"] = 0.0
        utility, age = state["utility"], state["age"]
        age += 1
        contribution = self.activity[before] * after.weight.abs().sum(0)
        utility.mul_(self.decay).add_(contribution, alpha=1 - self.decay)
        mature = age > self.maturity
        state["due"] += self.rate * int(mature.sum())
        count = int(state["due"])
        if not count:
            return
        state["due"] -= count
        corrected = torch.where(mature, utility / (1 - self.decay**age), torch.inf)
        for unit in corrected.topk(count, largest=False).indices:
            self._replace(before, after, unit)
            utility[unit] = age[unit] = 0

    def _replace(self, before: nn.Linear, after: nn.Linear, unit: Tensor) -> None:
        bound = before.in_features**-0.5
        before.weight[unit] = torch.empty_like(before.weight[unit]).uniform_(-bound, bound)
        after.weight[:, unit] = 0
        rows = [(before.weight, (unit,)), (after.weight, (slice(None), unit))]
        if before.bias is not None:
            before.bias[unit] = 0
            rows.append((before.bias, (unit,)))
        for weight, where in rows:
            moved = self.state[weight].get("momentum_buffer")
            if moved is not None:
                moved[where] = 0
