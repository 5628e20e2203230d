"""Loss curves that are known exactly: SGD on a quadratic with a power-law spectrum.

Linear regression in d directions of variance l_i = i^-1.5, targets with noise of variance 1,
Gaussian inputs, batches of b. The second moments v_i of the weights' errors, at first i^-1.2,
follow

    v <- (1 - eta l)^2 v + eta^2 (l (2 L + 1) + l^2 v) / b,    L = sum_i l_i v_i / 2

exactly, on average over batches, for any learning rates. The expected loss is 1/2 + L.
"""

from __future__ import annotations

import numpy as np

from ppr.scaling.fit import Array

DIRECTIONS, BATCH = 200, 8


def expected_losses(schedule: Array) -> Array:
    """The loss after each step. [T]"""
    i = np.arange(1, DIRECTIONS + 1)
    l, v = i**-1.5, i**-1.2  # noqa: E741
    losses = []
    for eta in schedule:
        twice = l @ v
        v = (1 - eta * l) ** 2 * v + eta**2 * (l * (twice + 1) + l**2 * v) / BATCH
        losses.append(0.5 + l @ v / 2)
    return np.array(losses)


PEAK, WARMUP = 0.3, 30


def schedule(kind: str, steps: int, end: float = 0.1) -> Array:
    """Learning rates [steps]: a linear warm-up to PEAK, then down to `end` times that.

    two_stage stays at `end` from half-way on, wsd decays exponentially over the last fifth,
    wsd_linear linearly, cyclic is two cosines, one after the other.
    """
    done = np.clip((np.arange(steps) - WARMUP) / (steps - WARMUP), 0, 1)
    late = np.clip((done - 0.8) / 0.2, 0, 1)

    def cosine(share: Array) -> Array:
        return np.asarray(end + (1 - end) * (1 + np.cos(np.pi * share)) / 2)

    shapes = {
        "constant": np.ones(steps),
        "cosine": cosine(done),
        "linear": 1 - (1 - end) * done,
        "two_stage": np.where(done < 0.5, 1.0, end),
        "wsd": end**late,
        "wsd_linear": 1 - (1 - end) * late,
        "cyclic": cosine(2 * done % 1),
    }
    rates = PEAK * shapes[kind]
    rates[:WARMUP] = np.linspace(0, PEAK, WARMUP)
    return np.asarray(rates)
