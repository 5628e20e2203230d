"""Laws that predict a loss curve from its learning-rate schedule eta_0, eta_1, ...

With S1(t) the sum of the rates up to step t, warm-up included:

    power      L0 + A S1^-alpha
    annealing  L0 + A S1^-alpha - C S2,  S2 = sum_k (eta_{k-1} - eta_k) sum_{i=k..t} lambda^{i-k}
               (Tissue et al., "Scaling Law with Learning Rate Annealing", 2024)
    multi      L0 + A S1^-alpha - B sum_k (eta_{k-1} - eta_k) G(eta_k^-gamma S_k),
               S_k the rates' sum from k to t, G(x) = 1 - (1 + C x)^-beta
               (Luo et al., "A Multi-Power Law for Loss Curve Prediction Across Learning Rate
               Schedules", 2025, arXiv:2503.12811, in the form of src/models.py of
               thu-yao-01-luo/MultiPowerLaw: the sum over k begins with the warm-up, whose
               differences are negative)

Each is a Law of fit.py over its parameters' logarithms, in the order named in PARAMETERS; for
annealing the last is 1 - lambda.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ppr.scaling.fit import Array, Law

Name = Literal["power", "annealing", "multi"]
PARAMETERS = {
    "power": ("L0", "A", "alpha"),
    "annealing": ("L0", "A", "alpha", "C", "1 - lambda"),
    "multi": ("L0", "A", "alpha", "B", "C", "beta", "gamma"),
}
Curve = tuple[Array, Array]
"""A schedule [T] and the steps of it that are looked at [N]."""


def law(name: Name, curves: Sequence[Curve]) -> Law:
    """The losses at the steps of each curve, one curve after the other."""
    parts = [{"power": _power, "annealing": _annealing, "multi": _multi}[name](*c) for c in curves]

    def predict(logs: Array) -> tuple[Array, Array]:
        found = [part(logs) for part in parts]
        return np.concatenate([v for v, _ in found]), np.concatenate([s for _, s in found])

    return predict


def starts(name: Name, losses: Array, area: float, random: np.random.Generator) -> Array:
    """Parameters to begin a fit with, given a curve's losses and the sum of its rates."""
    drop = float(losses.max() - losses.min())
    alpha = random.uniform(0.3, 0.9)
    common = [losses.min() * random.uniform(0.8, 0.99), drop * area**alpha / 4, alpha]
    own = {
        "power": [],
        "annealing": [drop * 10 ** random.uniform(-3, -1), 10 ** random.uniform(-3, -1)],
        "multi": [drop * 10 ** random.uniform(-1, 1), *10 ** random.uniform(-1, 0.5, 3)],
    }
    return np.array([*common, *own[name]])


def _area(schedule: Array, steps: Array) -> Array:
    return np.asarray(schedule.cumsum()[steps.astype(int)])


def _power(schedule: Array, steps: Array) -> Law:
    logs_of_area = np.log(_area(schedule, steps))

    def predict(logs: Array) -> tuple[Array, Array]:
        L0, A, alpha = np.exp(logs[:3])
        term = A * np.exp(-alpha * logs_of_area)
        slopes = [np.full_like(term, L0), term, -alpha * logs_of_area * term]
        return L0 + term, np.stack(slopes, axis=1)

    return predict


def _changes(schedule: Array, steps: Array) -> tuple[Array, Array, Array]:
    """The steps k where the rate changes [K], by how much it falls [K], and whether k <= t."""
    falls = schedule[:-1] - schedule[1:]
    places = np.flatnonzero(falls)
    past = (places + 1 <= steps[:, None]).astype(np.float64)
    return places.astype(np.float64) + 1, falls[places], past


def _annealing(schedule: Array, steps: Array) -> Law:
    power = _power(schedule, steps)
    places, falls, passed = _changes(schedule, steps)
    count = np.maximum(steps[:, None] - places + 1, 1)

    def predict(logs: Array) -> tuple[Array, Array]:
        values, slopes = power(logs)
        C, rest = np.exp(logs[3:])
        # 1 - lambda above 1 is no decay; the bound keeps the power's base positive.
        rest = min(rest, 1 - 1e-9)
        left = (1 - rest) ** count
        summed = (1 - left) / rest
        S2 = (passed * falls * summed).sum(1)
        by_rest = count * left / (1 - rest) - summed  # rest times the derivative by it
        slope = (passed * falls * by_rest).sum(1)
        return values - C * S2, np.column_stack([slopes, -C * S2, -C * slope])

    return predict


def _multi(schedule: Array, steps: Array) -> Law:
    power = _power(schedule, steps)
    places, falls, passed = _changes(schedule, steps)
    area = schedule.cumsum()
    k = places.astype(int)
    between = np.maximum(area[steps.astype(int)][:, None] - area[k - 1], 0.0)
    logs_of_rate = np.log(schedule[k])

    def predict(logs: Array) -> tuple[Array, Array]:
        values, slopes = power(logs)
        B, C, beta, gamma = np.exp(logs[3:])
        x = C * np.exp(-gamma * logs_of_rate) * between
        log_base = np.log1p(x)
        decay = np.exp(-beta * log_base)
        weights = passed * falls
        drop = B * (weights * (1 - decay)).sum(1)
        inner = weights * beta * decay * x / (1 + x)
        by_C = B * inner.sum(1)
        by_beta = B * beta * (weights * decay * log_base).sum(1)
        by_gamma = -gamma * B * (inner * logs_of_rate).sum(1)
        return values - drop, np.column_stack([slopes, -drop, -by_C, -by_beta, -by_gamma])

    return predict
