"""Seeded choices by class: a stratified hold-out, a class-balanced subset, wrong labels."""

from __future__ import annotations

from collections.abc import Sequence

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


def flip_labels(targets: Indices, classes: int, share: float, seed: int) -> Indices:
    """Symmetric label noise: a `share` of the labels, each changed to another class at random.

    Every class gives its share. With the same seed, a label that is wrong at one share is wrong at
    a greater one in the same way (but for the rounding of a class's share).
    """
    # Streams of their own: seed 0 here must not repeat the shuffle of a split with seed 0.
    _, flipped = hold_out(targets, round(share * len(targets)), (seed, 1))
    steps = _random((seed, 2)).randint(1, classes, len(targets))
    noisy = targets.copy()
    noisy[flipped] = (targets[flipped] + steps[flipped]) % classes
    return noisy
