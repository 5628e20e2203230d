"""Seeded choices by class: a stratified hold-out, a balanced or a long-tailed subset, noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def _random(seed: int | Sequence[int]) -> np.random.RandomState:
    # RandomState's stream is frozen for ever (NEP 19), default_rng's may change between releases
    # of NumPy, and with it every split and every number that was reported on one.
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))


def _ranks(targets: Indices, random: np.random.RandomState) -> tuple[Indices, Indices]:
    """A random order of the examples, and each one's place in it among those of its own class."""
    place = random.permutation(len(targets))
    order = np.lexsort((place, targets))
    _, starts, sizes = np.unique(targets[order], return_index=True, return_counts=True)
    ranks = np.empty(len(targets), dtype=np.int64)
    ranks[order] = np.arange(len(targets)) - np.repeat(starts, sizes)
    return place, ranks


def hold_out(targets: Indices, count: int, seed: int | Sequence[int]) -> tuple[Indices, Indices]:
    """Split the examples in two: (kept, held), `count` of them held, ascending.

    Every class gives its share of `count`, rounded up or down (largest remainders, ties at random).
    """
    random = _random(seed)
    _, ranks = _ranks(targets, random)
    _, classes, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    quotas, remainders = np.divmod(sizes * count, len(targets))
    chance = random.permutation(len(sizes))
    quotas[np.lexsort((chance, -remainders))[: count - quotas.sum()]] += 1
    held = ranks < quotas[classes]
    return np.flatnonzero(~held), np.flatnonzero(held)


def balanced(targets: Indices, count: int, seed: int) -> Indices:
    """At most `count` examples, ascending, with class sizes as equal as the classes allow.

    Nested: with the same seed, a smaller subset is part of a larger one.
    """
    place, ranks = _ranks(targets, _random(seed))
    return np.sort(np.lexsort((place, ranks))[:count])


def long_tail(
    targets: Indices, imbalance: float, seed: int, tail_seed: int | None = None
) -> Indices:
    """A subset, ascending, whose class sizes fall exponentially with the class number.

    Or, with a `tail_seed`, with its place in an order of the classes drawn with that. Of K classes,
    the k-th keeps floor(n_0 * imbalance^(-k / (K - 1))) examples, n_0 being the most that the first
    one can have so that every class has its share: the first class is `imbalance` times the last
    (`imb_type='exp'` in imbalance_cifar.py of kaidic/LDAM-DRW). Nested: with the same seed a
    steeper subset of equally large classes is part of a flatter one.

    Raises:
        ValueError: a class would be left without an example.
    """
    _, classes, sizes = np.unique(targets, return_inverse=True, return_counts=True)
    places = np.arange(len(sizes))
    if tail_seed is not None:
        places = _random((tail_seed, 4)).permutation(len(sizes))
    falls = imbalance ** (places / max(1, len(sizes) - 1))
    kept = np.floor((sizes * falls).min() / falls + 1e-9).astype(np.int64)  # 50, not 49.999…
    if kept.min() == 0:
        raise ValueError(f"class {places.argmax()} would have no example")
    # A stream of its own: seed 0 here must not repeat the shuffle of a split with seed 0.
    _, ranks = _ranks(targets, _random((seed, 3)))
    return np.flatnonzero(ranks < kept[classes])


def flip_labels(
    targets: Indices,
    classes: int,
    share: float,
    seed: int,
    to: Literal["others", "next"] = "others",
) -> Indices:
    """Label noise: a `share` of the labels, each changed to another class.

    `to` one of the others at random, which is symmetric noise, or to the `next` class (the first
    for the last), which is class-dependent. Every class gives its share. With the same seed, a
    label that is wrong at one share is wrong at a greater one in the same way (but for the rounding
    of a class's share).
    """
    # Streams of their own: seed 0 here must not repeat the shuffle of a split with seed 0.
    _, flipped = hold_out(targets, round(share * len(targets)), (seed, 1))
    steps = _random((seed, 2)).randint(1, classes, len(targets)) if to == "others" else 1
    noisy = targets.copy()
    noisy[flipped] = ((targets + steps) % classes)[flipped]
    return noisy
