"""Laws of losses and accuracies by a model's size, and their fits with the literature's optimizer.

Each law maps parameters p [P] and what a run is known by to predictions [N] and their derivatives
by p [N, P]; sizes are [N, 2], parameters and tokens:

    chinchilla  exp(p0) / N^p2 + exp(p1) / D^p3 + p4
    compute     exp(p0) / C^p1 + p2, with C [N] in FLOPs
    one_step    p5 / (1 + exp(-chinchilla(p0..p4))) + p6

Unlike ppr/scaling/fit.py, which fits logarithms of positive parameters, these allow for a bound:
an irreducible loss of 0 is one of Bhagia et al.'s own fits (arXiv:2412.04403).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import curve_fit, minimize

from ppr.scaling.fit import Array

Predicted = tuple[Array, Array]
Law = Callable[[Array, Array], Predicted]
Bound = tuple[float | None, float | None]
DELTA = 1e-3
LEAST = 1e-6


def chinchilla(p: Array, sizes: Array) -> Predicted:
    logs = np.log(sizes)
    by_size = np.exp(p[0] - p[2] * logs[:, 0])
    by_data = np.exp(p[1] - p[3] * logs[:, 1])
    slopes = [by_size, by_data, -by_size * logs[:, 0], -by_data * logs[:, 1]]
    return by_size + by_data + p[4], np.column_stack([*slopes, np.ones(len(sizes))])


def compute(p: Array, flops: Array) -> Predicted:
    logs = np.log(flops)
    term = np.exp(p[0] - p[1] * logs)
    return term + p[2], np.column_stack([term, -term * logs, np.ones(len(flops))])


def one_step(p: Array, sizes: Array) -> Predicted:
    inner, slopes = chinchilla(p, sizes)
    share = 1 / (1 + np.exp(-inner))
    outer = (p[5] * share * (1 - share))[:, None] * slopes
    values = np.maximum(p[5] * share + p[6], LEAST)
    return values, np.column_stack([outer, share, np.ones(len(sizes))])


def huber(predicted: Predicted, truth: Array) -> tuple[float, Array]:
    """The Huber loss of log residuals, summed, and its derivatives [P]."""
    values, slopes = predicted
    away = np.log(values) - np.log(truth)
    size = np.abs(away)
    losses = np.where(size < DELTA, 0.5 * away**2, DELTA * (size - 0.5 * DELTA))
    return float(losses.sum()), (np.clip(away, -DELTA, DELTA) / values) @ slopes


def fit_huber(
    law: Law, inputs: Array, truth: Array, start: Sequence[float], bounds: Sequence[Bound]
) -> Array:
    """Parameters of the least Huber loss of log residuals, by L-BFGS-B from one start."""

    def cost(p: Array) -> tuple[float, Array]:
        return huber(law(p, inputs), truth)

    options = {"ftol": 0.0, "gtol": 1e-10, "maxiter": 1_000_000}
    found = minimize(
        cost, np.array(start), jac=True, bounds=bounds, method="L-BFGS-B", options=options
    )
    return np.asarray(found.x)


def sigmoid(x: Array | float, a: float, x0: float, k: float, b: float) -> Array:
    return np.asarray(a / (1 + np.exp(-k * (x - x0))) + b)


def fit_sigmoid(x: Array, y: Array, least: float) -> Array:
    """Least squares of `sigmoid`, falling from 1 at most; `least` is the lowest y to begin with."""
    bounds = ([-1.0, 0.0, 0.0, 0.0], [0.0, np.inf, np.inf, 1.0])
    found, _ = curve_fit(
        sigmoid, x, y, p0=[least - 1.0, 0.9, 3.0, 1.0], bounds=bounds, maxfev=500_000
    )
    return np.asarray(found)
