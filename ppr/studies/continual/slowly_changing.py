"""Slowly-changing regression: small networks that learn one example at a time, by plain backprop.

Dohare et al., "Loss of plasticity in deep continual learning", Nature 2024, as its code writes it
(shibhansh/loss-of-plasticity, lop/slowly_changing_regression and lop/nets): of 20 binary inputs 15
are drawn anew every 10,000 examples, the other five for every example. The target is a fixed
network of 100 threshold units, all of whose weights and biases are -1 or 1:

    y = b + sum_k v_k [ w_k.x + b_k > beta (n + 1) - (n - sum w_k + b_k) / 2 ],   beta = 0.7, n = 20

The learners have 5 hidden units, ReLU or tanh, and take a step of gradient descent on (f(x) - y)^2
after each example, at rates 0.01, 0.003 and 0.001; a linear one has the rate 0.01. Weights start
uniform by Kaiming's rule with torch's gains, biases at 0.

All learners of all `runs` streams are stepped at once, the seven of a stream on the same examples.
Metrics, means over the streams of the squared error, of each learner, relu_0.01 to tanh_0.001 and
linear: `first`, of the first 20,000 examples, `last`, of the last fifth, `rise` from one to the
other, and `over_linear`, of `last` over the linear learner's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component
from ppr.studies.study import Study

INPUTS, SLOW, TARGET_UNITS, BETA = 20, 15, 100, 0.7
UNITS = 5
RATES = (0.01, 0.003, 0.001)
GAINS = {"relu": math.sqrt(2), "tanh": 5 / 3}
"""Of torch.nn.init.calculate_gain."""
ARMS = (*(f"{kind}_{rate}" for kind in GAINS for rate in RATES), "linear")
BIN = 20_000
"""Examples that the authors' figure takes together."""

Array = np.ndarray[Any, Any]


class Targets:
    """The target networks of the streams."""

    def __init__(self, runs: int, random: np.random.Generator) -> None:
        def signs(*shape: int) -> Array:
            return (2 * random.integers(0, 2, shape) - 1).astype(np.float32)

        self.weights = signs(runs, INPUTS, TARGET_UNITS)
        self.biases = signs(runs, 1, TARGET_UNITS)
        self.out = signs(runs, TARGET_UNITS, 1)
        self.bias = signs(runs, 1)
        minus = (INPUTS - self.weights.sum(1, keepdims=True) + self.biases) / 2
        self.thresholds = BETA * (INPUTS + 1) - minus

    def __call__(self, x: Array) -> Array:
        """The targets [runs, T] of inputs [runs, T, 20]."""
        active = (x @ self.weights + self.biases > self.thresholds).astype(np.float32)
        targets: Array = (active @ self.out)[..., 0] + self.bias
        return targets


class Learners:
    """Six small networks and a linear learner for each stream.

    `hidden` [runs, 30, 21] are the networks' first weights, `out` [runs, 6, 6] their last and
    `linear` [runs, 21] the linear learner's; of each the last is the bias, on an input of 1.
    The buffers are there because a step is so small that making them would cost as much.
    """

    def __init__(self, runs: int, random: np.random.Generator) -> None:
        nets = len(ARMS) - 1
        hidden = np.zeros((runs, nets, UNITS, INPUTS + 1), np.float32)
        self.out = np.zeros((runs, nets, UNITS + 1), np.float32)
        self.linear = np.zeros((runs, INPUTS + 1), np.float32)
        for weights, gain in (
            (hidden[:, : nets // 2], GAINS["relu"]),
            (hidden[:, nets // 2 :], GAINS["tanh"]),
            (self.out, 1.0),
            (self.linear, 1.0),
        ):
            start = weights[..., :-1]
            bound = gain * math.sqrt(3 / start.shape[-1])
            start[...] = random.uniform(-bound, bound, start.shape)
        self.hidden: Array = hidden.reshape(runs, nets * UNITS, INPUTS + 1)
        self.rates = 2 * np.asarray(RATES * len(GAINS), np.float32)
        self._weights = torch.from_numpy(self.hidden)
        self._before = np.empty((runs, nets * UNITS, 1), np.float32)
        self._active = np.ones((runs, nets, UNITS + 1), np.float32)
        self._slope = np.empty((runs, nets, UNITS), np.float32)
        self._pull = np.empty((runs, nets, UNITS), np.float32)
        self._pulls = torch.from_numpy(self._pull.reshape(runs, nets * UNITS, 1))

    def step(self, x: Array, y: Array, error: Array, linear: Array) -> None:
        """Write f(x) - y into `error` [runs, 6] and `linear` [runs], and learn from it.

        x [runs, 21] are the inputs and a 1, y [runs, 1] the targets.
        """
        half, units = self.out.shape[1] // 2, slice(0, UNITS)
        np.matmul(self.hidden, x[:, :, None], out=self._before)
        before = self._before.reshape(self._pull.shape)
        relu, tanh = self._active[:, :half, units], self._active[:, half:, units]
        np.maximum(before[:, :half], 0, out=relu)
        np.tanh(before[:, half:], out=tanh)
        np.greater(relu, 0, out=self._slope[:, :half], casting="unsafe")
        np.multiply(tanh, tanh, out=self._slope[:, half:])
        np.subtract(1, self._slope[:, half:], out=self._slope[:, half:])
        np.einsum("raf,raf->ra", self._active, self.out, out=error)
        error -= y
        step = (error * self.rates)[..., None]
        np.multiply(step, self.out[..., units], out=self._pull)
        self._pull *= self._slope
        self.out -= step * self._active
        self._weights.addcmul_(self._pulls, torch.from_numpy(x[:, None]), value=-1)
        np.einsum("ri,ri->r", self.linear, x, out=linear)
        linear -= y[:, 0]
        self.linear -= (2 * RATES[0] * linear)[:, None] * x


@component("task")
class SlowlyChanging(Study):
    """
    Raises:
        BadRequest: a part of a bin, or of a task within one.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        runs: Count = 20,
        examples: Count = 1_000_000,
        change_after: Count = 10_000,
    ) -> None:
        super().__init__(bench)
        if BIN % change_after:
            raise BadRequest(f"task.change_after={change_after}: must divide {BIN}")
        if examples % BIN:
            raise BadRequest(f"task.examples={examples}: must be a multiple of {BIN}")
        self.runs, self.examples, self.change_after = runs, examples, change_after

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "slowly_changing"))
        targets, learners = Targets(self.runs, random), Learners(self.runs, random)
        squares = np.zeros((self.examples // BIN, len(ARMS)))
        errors = np.empty((self.change_after, self.runs, len(ARMS) - 1), np.float32)
        linear = np.empty((self.change_after, self.runs), np.float32)
        for start in range(0, self.examples, self.change_after):
            x = self._inputs(random)
            y = np.ascontiguousarray(targets(x).T)[..., None]
            inputs = np.ones((self.change_after, self.runs, INPUTS + 1), np.float32)
            inputs[..., :-1] = x.swapaxes(0, 1)
            for step in zip(inputs, y, errors, linear, strict=True):
                learners.step(*step)
            row = squares[start // BIN]
            row[:-1] += np.square(errors, dtype=np.float64).sum((0, 1))
            row[-1] += np.square(linear, dtype=np.float64).sum()
        binned = squares / (BIN * self.runs)
        first, last = binned[0], binned[-max(1, len(binned) // 5) :].mean(0)
        return {
            arm: {
                "first": float(x),
                "last": float(y),
                "rise": float(y - x),
                "over_linear": float(y - last[-1]),
            }
            for arm, x, y in zip(ARMS, first, last, strict=True)
        }

    def _inputs(self, random: np.random.Generator) -> Array:
        """The binary inputs [runs, T, 20] of one task."""
        x = random.integers(0, 2, (self.runs, self.change_after, INPUTS)).astype(np.float32)
        x[..., :SLOW] = random.integers(0, 2, (self.runs, 1, SLOW))
        return x

    def check(self) -> None:
        """One step: the whole study takes a minute."""
        random = np.random.default_rng(0)
        x = np.ones((self.runs, INPUTS + 1), np.float32)
        error = np.empty((self.runs, len(ARMS) - 1), np.float32)
        Learners(self.runs, random).step(x, x[:, :1], error, np.empty(self.runs, np.float32))
