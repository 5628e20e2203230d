"""Binned series: windows of synthetic time series as tokens, for forecasts over ordered bins.

Ten families: sines, AR(1), AR(2), two periods with Student-t noise, modulated sines, trend and
season, square waves, the logistic map, log-normal seasons, volatility in clusters. A window has 32
values of context and 8 to forecast, each from all before it; the context's mean and standard
deviation make it standard, its values are cut to [-4, 4] and put into `bins` equal bins, which are
the tokens (as Ansari et al., "Chronos", arXiv:2403.07815, section 3.1, but for their scaling). Only
the 8 positions count (`extra["mask"]`); `extra["values"]` are the values themselves.

`purpose` pretrain has five series a family; finetune has three others, of 400 values: training
windows are of their first 250, test windows of the rest. Validation windows are of the rest of a
fourth series. What is drawn follows from `split_seed`. Nothing is read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ppr.data.card import Card
from ppr.data.hub import Place
from ppr.data.source import Source
from ppr.fields import Count, Whole
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset, Split

CONTEXT, HORIZON = 32, 8
LENGTH, SEEN = 400, 250
REACH = 4.0
FAMILIES = 10
SERIES = {"pretrain": 5, "finetune": 3}


@component("dataset", inputs="tokens", targets="positions")
class BinnedSeries(Source):
    def __init__(
        self,
        root: Path | None = None,
        *,
        purpose: Literal["pretrain", "finetune"] = "finetune",
        train: Count = 4000,
        validation: Whole = 500,
        test: Count = 1000,
        bins: Count = 64,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.purpose = purpose
        self.sizes = {"train": train, "validation": validation, "test": test}
        self.card = Card(
            name="binned_series",
            shape=(CONTEXT + HORIZON - 1,),
            classes=tuple(map(str, range(bins))),
            rows={"train": train, "test": test},
            source="computed",
            licence="none needed",
        )

    def find(self) -> Place:
        return Place("computed", Path(__file__).parent, {})

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        """The series themselves, few of them, as they need no data."""
        made = BinnedSeries(
            purpose=self.purpose,
            train=n,
            test=n,
            bins=len(self.card.classes),
            validation=n if self.validation else 0,
            split_seed=seed,
        )
        data = made.load()
        return replace(data, extra={**data.extra, "synthetic": True})

    def load(self) -> Dataset:
        import numpy as np

        from ppr.data.dataset import assemble

        part = ("pretrain", "finetune").index(self.purpose)
        stream = np.random.MT19937(np.random.SeedSequence((self.split_seed, part)))
        random = np.random.RandomState(stream)
        count = SERIES[self.purpose]
        series = np.stack(
            [_series(family, random) for family in range(FAMILIES) for _ in range(count + 1)]
        ).reshape(FAMILIES, count + 1, LENGTH)
        own, fourth = series[:, :count].reshape(-1, LENGTH), series[:, count]
        train = self._windows(own[:, :SEEN], self.sizes["train"], random)
        held = None
        if self.validation:
            held = self._windows(fourth[:, SEEN:], self.validation, random)
        test = self._windows(own[:, SEEN:], self.sizes["test"], random)
        return assemble(self.card, train, held, test, {"reach": REACH})

    def _windows(self, series: np.ndarray, count: int, random: np.random.RandomState) -> Split:
        import numpy as np
        import torch

        from ppr.data.dataset import Split

        whole = CONTEXT + HORIZON
        rows = random.randint(len(series), size=count)
        starts = random.randint(series.shape[1] - whole + 1, size=count)
        values = series[rows[:, None], starts[:, None] + np.arange(whole)]
        context = values[:, :CONTEXT]
        spread = np.maximum(context.std(1, keepdims=True), 1e-6)
        values = ((values - context.mean(1, keepdims=True)) / spread).clip(-REACH, REACH)
        bins = len(self.card.classes)
        tokens = np.minimum((values + REACH) * bins / (2 * REACH), bins - 1).astype(np.int64)
        mask = torch.zeros(count, whole - 1, dtype=torch.bool)
        mask[:, -HORIZON:] = True
        known = {"mask": mask, "values": torch.from_numpy(values[:, 1:].astype(np.float32))}
        return Split(torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, 1:]), known)


def _series(family: int, random: np.random.RandomState) -> np.ndarray:
    """One series of a family, in the order of the docstring above, with parameters of its own."""
    import numpy as np

    t = np.arange(LENGTH)
    noise = random.normal(size=LENGTH)
    period, phase = random.uniform(8, 24), random.uniform(0, 2 * np.pi)
    wave = np.sin(2 * np.pi * t / period + phase)
    slow = np.sin(2 * np.pi * t / random.uniform(30, 60))
    families = (
        lambda: wave + 0.1 * noise,
        lambda: _recursive(noise, random.uniform(0.7, 0.95), 0.0),
        lambda: _recursive(noise, 1.6, -0.8),
        lambda: wave + slow + 0.15 * random.standard_t(3, LENGTH),
        lambda: (1 + 0.5 * slow) * wave + 0.15 * noise,
        lambda: random.uniform(-0.02, 0.02) * t + wave + 0.2 * noise,
        lambda: np.sign(wave) + 0.2 * noise,
        lambda: _logistic(random.uniform(3.6, 3.9), random.uniform(0.2, 0.8)) + 0.02 * noise,
        lambda: np.exp(0.8 * wave + 0.25 * noise),
        lambda: _clustered(noise),
    )
    values: np.ndarray = families[family]()
    return values


def _recursive(noise: np.ndarray, a: float, b: float) -> np.ndarray:
    values = noise.copy()
    for i in range(2, len(values)):
        values[i] += a * values[i - 1] + b * values[i - 2]
    return values


def _logistic(rate: float, start: float) -> np.ndarray:
    import numpy as np

    values = np.full(LENGTH, start)
    for i in range(1, LENGTH):
        values[i] = rate * values[i - 1] * (1 - values[i - 1])
    return values


def _clustered(noise: np.ndarray) -> np.ndarray:
    """A GARCH(1, 1) random walk's steps, 0.1 + 0.2 x^2 + 0.7 variance, smoothed by half."""
    values, variance, last = noise.copy(), 1.0, 0.0
    for i in range(len(values)):
        values[i] = last = 0.5 * last + variance**0.5 * noise[i]
        variance = 0.1 + 0.2 * variance * noise[i] ** 2 + 0.7 * variance
    return values
