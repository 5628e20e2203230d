"""Functions of one variable whose values are sampled evenly, or more and more of one range.

The data of Pintea, Lin, Dijkstra and van Gemert, "A step towards understanding why classification
helps regression", ICCV 2023, drawn as 1d/make_data1d.py of github.com/SilviaLauraPintea/reg-cls
(696e2c5) draws them, call for call of NumPy's legacy generator, so that the numbers are the same:

    f(x) = a sin(c x) + (1.5 - a) sin(floor(c / 3) x),   a in [0, 1), c in 9..30,   x in [-1, 1]

Of 1,024 equal bins of f's range each gives as many samples (`uniform`), or a few, and a range of
0.3, 0.1 or 0.03 of it on either side of a peak gives the rest (`mild`, `moderate`, `severe`). A
third each is for training, validation and the test. `noisy` adds noise of deviation 0.1 to f;
`ood` takes the three parts from intervals of x that alternate.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPREADS = {"uniform": 0.0, "mild": 0.3, "moderate": 0.1, "severe": 0.03}
SETTINGS = ("clean", "noisy", "ood")
NOISE = 0.1
POOL = 100_000
"""Points that a sample is chosen from."""
BINS, FEW, TOTAL = 1024, 5, 60_000


@dataclass(frozen=True)
class Function:
    a: float
    c: int

    def __call__(self, x: Array, draw: np.random.RandomState, noise: float = 0.0) -> Array:
        y = self.a * np.sin(self.c * x) + (1.5 - self.a) * np.sin(self.c // 3 * x)
        return y + draw.normal(loc=0.0, scale=noise, size=y.shape) if noise else y


@dataclass(frozen=True)
class Sizes:
    """How much is drawn; the defaults are the authors', others are for quick tests."""

    bins: int = BINS
    few: int = FEW
    total: int = TOTAL
    pool: int = POOL


Part = tuple[Array, Array]
"""x [n] and y [n]."""


def functions(count: int) -> list[Function]:
    """The authors' first functions: Python's own generator with seed 0."""
    drawn = random.Random(0)
    return [Function(drawn.random(), drawn.randint(9, 30)) for _ in range(count)]


def data_seeds() -> list[int]:
    """The seeds of the five draws of each function's data."""
    return [int(seed) for seed in np.random.RandomState(0).randint(0, high=10_000, size=5)]


def sample(
    function: Function, setting: str, sampling: str, seed: int, sizes: Sizes = Sizes()
) -> tuple[Part, Part, Part]:
    """Training, validation and test samples of one draw."""
    draw = np.random.RandomState(seed)
    if setting == "ood":
        return _apart(function, sampling, seed, sizes)
    # the noise that chooses the bins is drawn for even samples only, as in the authors' code
    noise = NOISE if setting == "noisy" else 0.0
    if sampling == "uniform":
        x = _even(function, draw, sizes.total, sizes, noise=noise)
    else:
        x = _peaked(function, draw, SPREADS[sampling], sizes.total, sizes.few, sizes)
    order = np.arange(len(x))
    draw.shuffle(order)
    third = len(order) // 3
    thirds = order[:third], order[third : 2 * len(order) // 3], order[2 * len(order) // 3 :]
    parts = [x[rows] for rows in thirds]
    train, validation, test = ((part, function(part, draw, noise)) for part in parts)
    return train, validation, test


def _even(
    function: Function,
    draw: np.random.RandomState,
    total: int,
    sizes: Sizes,
    low: float = -1.0,
    high: float = 1.0,
    noise: float = 0.0,
) -> Array:
    """As many samples of each bin of the function's values, of those that have any."""
    x = draw.uniform(low=low, high=high, size=(sizes.pool, 1))
    y = function(x, draw, noise)
    return np.concatenate(_of_bins(x, y, y.min(), y.max(), total // sizes.bins + 1, draw, sizes))


def _of_bins(
    x: Array,
    y: Array,
    low: float,
    high: float,
    count: int,
    draw: np.random.RandomState,
    sizes: Sizes,
) -> list[Array]:
    """So many of each of the equal bins from low to high, drawn with replacement."""
    kept = []
    edges = np.linspace(low, high, sizes.bins + 1)
    for lower, upper in itertools.pairwise(edges):
        inside = x[(y >= lower) & (y <= upper)]
        if len(inside):  # an empty bin draws nothing
            kept.append(inside[draw.randint(0, len(inside), count)])
    return kept


def _peaked(
    function: Function,
    draw: np.random.RandomState,
    spread: float,
    total: int,
    few: int,
    sizes: Sizes,
    low: float = -1.0,
    high: float = 1.0,
    peak: float | None = None,
) -> Array:
    """Most samples from a range around a peak, and a few from every bin."""
    x = draw.uniform(low=low, high=high, size=(sizes.pool, 1))
    y = function(x, draw)
    least, largest = y.min(), y.max()
    reach = spread * (largest - least)
    if peak is None:
        peak = draw.uniform(low=least, high=largest)
    kept: list[Array] = []
    if least < peak < largest:
        each = (total - sizes.bins * few) // sizes.bins * 2
        near = np.concatenate(_of_bins(x, y, peak - reach, peak + reach, each, draw, sizes))
        order = np.arange(len(near))
        draw.shuffle(order)
        kept.append(near[order[: total - sizes.bins - few]])
    kept += _of_bins(x, y, least, largest, few + 1, draw, sizes)
    return np.concatenate(kept)


def _apart(function: Function, sampling: str, seed: int, sizes: Sizes) -> tuple[Part, Part, Part]:
    """Parts from intervals of x that alternate: training, validation, test, training, …"""
    draw = np.random.RandomState(seed)
    width = 1.0 / 4.5
    wobble = width / 4.0
    edges = np.arange(-1.0, 1.0 + wobble, width)
    lows, highs = edges[:-1], edges[1:].copy()
    highs += np.abs(draw.normal(0, wobble, len(highs)))
    highs = np.minimum(highs, 1.0)
    rounds = len(lows) // 3
    intervals = [
        [(lows[3 * turn + part], highs[3 * turn + part]) for turn in range(rounds)]
        for part in range(3)
    ]
    draw = np.random.RandomState(seed)
    if sampling == "uniform":
        return _apart_evenly(function, draw, intervals, sizes)
    peak, shared = _shared_peak(function, draw, intervals, seed, sizes)
    parts: list[Part] = []
    for part, several in enumerate(intervals):
        total = sizes.total // (3 * shared[part])
        few = sizes.few // rounds
        found = [
            _peaked(function, draw, SPREADS[sampling], total, few, sizes, low, high, peak)
            for low, high in several
        ]
        x = np.concatenate(found)
        parts.append((x, function(x, draw)))
    return parts[0], parts[1], parts[2]


def _apart_evenly(
    function: Function,
    draw: np.random.RandomState,
    intervals: Sequence[Sequence[tuple[float, float]]],
    sizes: Sizes,
) -> tuple[Part, Part, Part]:
    train, validation, test = intervals
    total = sizes.total // (3 * len(train))
    found: dict[int, list[Array]] = {0: [], 1: [], 2: []}
    for turn in range(len(train)):
        for part, several in ((0, train), (2, test), (1, validation)):  # the authors' order
            low, high = several[turn]
            found[part].append(_even(function, draw, total, sizes, low, high))
    parts = [np.concatenate(found[part]) for part in range(3)]
    return tuple((x, function(x, draw)) for x in parts)  # type: ignore[return-value]


def _shared_peak(
    function: Function,
    draw: np.random.RandomState,
    intervals: Sequence[Sequence[tuple[float, float]]],
    seed: int,
    sizes: Sizes,
) -> tuple[float, list[int]]:
    """A value that the function takes in some interval of each part, and in how many it does.

    The range that it is drawn from is that of points which the authors drew before they set the
    seed; it differs from the function's own by less than 1e-6 of it.
    """
    everywhere = function(np.linspace(-1.0, 1.0, 200_001), draw)
    while True:
        peak = float(draw.uniform(low=everywhere.min(), high=everywhere.max()))
        shared = [0, 0, 0]
        for turn in range(len(intervals[0])):
            for part in (0, 2, 1):
                low, high = intervals[part][turn]
                y = function(draw.uniform(low=low, high=high, size=(sizes.pool, 1)), draw)
                shared[part] += int(y.min() <= peak <= y.max())
        if all(shared):
            return peak, shared
