"""Unlearning small networks, measured by KLoM against as many networks trained from scratch.

Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", 2024. `models`
networks 64-32-10 are trained on `samples` digits, and as many without the forget set F, `forget`
samples of one class; all of a side at once, as one batched tensor. From the first, each method
takes `steps` steps of SGD, with its own learning rate:

    descent    on retained samples
    ascent     on F, uphill
    both       down on retained samples and up on F
    matching   squared error of the logits to f(x) = logits - beta_x |F|, on both
    oracle     the same to the logits of the retrained model of the same number

beta_x is a datamodel of one coefficient: the slope of the logits on x against how many of F a
network was trained on, by least squares over `datamodels` networks that keep each of F with
probability 1/2 and each other sample with 0.9. (A coefficient for each sample needs more networks
than there are samples.)

Metrics, KLoM (as the evaluator): `<method>/forget`, `/retain`, `/test`, medians over samples,
and `<method>/forget95`, the 95th percentile; `nothing` are the first networks as they are, and
`floor` is another set of networks trained without F. `gain/<method>` is its `forget` less that of
`matching`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.data.dataset import Split
from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.evaluators.unlearning.klom import klom, margins
from ppr.fields import Count, NonNegative, Positive
from ppr.registry import component
from ppr.studies.study import Study

HIDDEN = 32
BATCH, FORGET_BATCH = 48, 16
KEPT = 0.9
Weights = list[Tensor]
Step = Callable[[Weights, Tensor, Tensor], Tensor]
"""Weights and a step's samples (retained, of F) [models, B] -> the loss, summed over models."""


@component("task")
class UnlearningKLoM(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        models: Count = 60,
        datamodels: Count = 150,
        samples: Count = 500,
        forget: Count = 25,
        train_steps: Count = 300,
        steps: Count = 40,
        lr: Positive = 0.1,
        lr_descent: NonNegative = 1.0,
        lr_ascent: NonNegative = 0.006,
        lr_both: NonNegative = 0.0075,
        lr_matching: NonNegative = 0.03,
    ) -> None:
        super().__init__(bench)
        self.models, self.datamodels, self.forget = models, datamodels, forget
        self.train_steps, self.steps, self.lr = train_steps, steps, lr
        self.rates = {
            "descent": lr_descent,
            "ascent": lr_ascent,
            "both": lr_both,
            "matching": lr_matching,
            "oracle": lr_matching,
        }
        data = bench.dataset
        assert isinstance(data.train, Split)
        assert isinstance(data.test, Split)
        self.random = generator(bench.device, bench.seed, "unlearning")
        chosen = torch.randperm(len(data.train), generator=self.random)[:samples]
        self.x, self.y = _rows(data.train, chosen)
        self.x_test, self.y_test = _rows(data.test, torch.arange(len(data.test)))
        self.classes = len(data.classes)

    def check(self) -> None:
        """Measure with few networks and steps."""
        self.models = self.datamodels = 3
        self.train_steps = self.steps = 2
        self.measure()

    def measure(self) -> dict[str, dict[str, float]]:
        label = torch.randint(self.classes, (), generator=self.random)
        gone = ((self.y == label).cumsum(0) <= self.forget) & (self.y == label)
        everyone = torch.ones(self.models, len(self.y))
        full, again, other = (
            self._trained(kept) for kept in (everyone, everyone * ~gone, everyone * ~gone)
        )
        slopes = self._datamodel(gone)
        oracle = _logits(again, self.x)
        predicted = _logits(full, self.x) - slopes * int(gone.sum())
        retained, forgotten = (part.nonzero().flatten() for part in (~gone, gone))
        methods: dict[str, Step] = {
            "descent": lambda w, a, b: self._error(w, a),
            "ascent": lambda w, a, b: -self._error(w, b),
            "both": lambda w, a, b: self._error(w, a) - self._error(w, b),
            "matching": lambda w, a, b: self._distance(w, predicted, torch.cat([a, b], 1)),
            "oracle": lambda w, a, b: self._distance(w, oracle, torch.cat([a, b], 1)),
        }
        sides = {"nothing": full, "floor": other}
        for name, step in methods.items():
            sides[name] = self._changed(full, step, self.rates[name], retained, forgotten)
        found = {name: self._compared(side, again, gone) for name, side in sides.items()}
        best = found["matching"]["forget"]
        others = ("nothing", "descent", "ascent", "both")
        return {**found, "gain": {name: found[name]["forget"] - best for name in others}}

    def _compared(self, side: Weights, again: Weights, gone: Tensor) -> dict[str, float]:
        def far(x: Tensor, y: Tensor) -> Tensor:
            return klom(margins(_logits(side, x), y), margins(_logits(again, x), y))

        forget = far(self.x[gone], self.y[gone])
        return {
            "forget": forget.median().item(),
            "forget95": forget.quantile(0.95).item(),
            "retain": far(self.x[~gone], self.y[~gone]).median().item(),
            "test": far(self.x_test, self.y_test).median().item(),
        }

    def _trained(self, kept: Tensor) -> Weights:
        """Networks trained from scratch, each on the samples that its row of `kept` is 1 at."""
        count = len(kept)
        sizes = ((self.x.shape[1], HIDDEN), (HIDDEN, self.classes))
        weights = []
        for inputs, outputs in sizes:
            for shape in ((count, inputs, outputs), (count, 1, outputs)):
                drawn = torch.rand(shape, generator=self.random) * 2 - 1
                weights.append((drawn / inputs**0.5).requires_grad_())
        optimizer = torch.optim.SGD(weights, lr=self.lr, momentum=0.9)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.train_steps)
        for _ in range(self.train_steps):
            rows = torch.multinomial(kept, BATCH + FORGET_BATCH, generator=self.random)
            optimizer.zero_grad()
            torch.autograd.backward(self._error(weights, rows))
            optimizer.step()
            decay.step()
        return [weight.detach() for weight in weights]

    def _datamodel(self, gone: Tensor) -> Tensor:
        """How much each logit moves with each sample of F, [N, C]."""
        chance = torch.where(gone, 0.5, KEPT).expand(self.datamodels, -1)
        kept = torch.bernoulli(chance, generator=self.random)
        logits = _logits(self._trained(kept), self.x)
        number = kept[:, gone].sum(1)
        number = (number - number.mean())[:, None, None]
        return (number * logits).sum(0) / number.square().sum().clamp(min=1)

    def _changed(
        self, start: Weights, step: Step, lr: float, retained: Tensor, forgotten: Tensor
    ) -> Weights:
        weights = [weight.clone().requires_grad_() for weight in start]
        optimizer = torch.optim.SGD(weights, lr=lr)
        for _ in range(self.steps):
            a, b = self._draw(retained, BATCH), self._draw(forgotten, FORGET_BATCH)
            optimizer.zero_grad()
            torch.autograd.backward(step(weights, a, b))
            optimizer.step()
        return [weight.detach() for weight in weights]

    def _draw(self, rows: Tensor, count: int) -> Tensor:
        return rows[torch.randint(len(rows), (self.models, count), generator=self.random)]

    def _error(self, weights: Weights, rows: Tensor) -> Tensor:
        """Mean cross-entropy of each network on its samples, summed over networks."""
        logits = _logits(weights, self.x[rows])
        target = self.y[rows]
        return F.cross_entropy(logits.flatten(0, 1), target.flatten()) * len(rows)

    def _distance(self, weights: Weights, goal: Tensor, rows: Tensor) -> Tensor:
        logits = _logits(weights, self.x[rows])
        wanted = goal.gather(1, rows[..., None].expand_as(logits))
        return F.mse_loss(logits, wanted) * len(rows)


def _logits(weights: Weights, x: Tensor) -> Tensor:
    """Every network on the same x [N, F], or each on its own [models, N, F]. [models, N, C]"""
    w1, b1, w2, b2 = weights
    x = x.expand(len(w1), *x.shape[-2:])
    return torch.baddbmm(b2, torch.baddbmm(b1, x, w1).relu(), w2)


def _rows(split: Split, chosen: Tensor) -> tuple[Tensor, Tensor]:
    x = split.inputs[chosen].flatten(1).float()
    return (x / 255 if split.inputs.dtype == torch.uint8 else x), split.targets[chosen]
