"""Seeded choices of examples by class: a stratified hold-out and a class-balanced subset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def _random(seed: int) -> np.random.RandomState:
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


def hold_out(targets: Indices, count: int, seed: int) -> tuple[Indices, Indices]:
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
