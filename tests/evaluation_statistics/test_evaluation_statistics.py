"""Reported accuracies of a judge: intervals written out one by one, and exact enumeration."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.studies.evaluation_statistics.judge_reporting import allocate, corrected, naive_coverage

Z = NormalDist().inv_cdf(0.975)


def metrics(*words: str) -> dict[str, dict[str, float]]:
    return dict(execute(compose(["experiment=judge_reporting", *words]), Watcher())["metrics"])


def interval(p: float, q0: float, q1: float, n: int, m0: int, m1: int) -> tuple[float, float]:
    """The smoothed interval of one replicate, from its equations."""
    p, n_ = (n * p + Z**2 / 2) / (n + Z**2), n + Z**2
    q0, q1 = (m0 * q0 + 1) / (m0 + 2), (m1 * q1 + 1) / (m1 + 2)
    slope = q0 + q1 - 1
    theta = (p - (1 - q0)) / slope
    left, right = (1 - theta) * q0 * (1 - q0) / (m0 + 2), theta * q1 * (1 - q1) / (m1 + 2)
    variance = p * (1 - p) / n_ + (1 - theta) * left + theta * right
    middle, half = theta + 2 * Z**2 * (right - left), Z * math.sqrt(variance) / slope
    return min(max(middle - half, 0), 1), min(max(middle + half, 0), 1)


def test_corrected_interval_is_that_of_each_replicate() -> None:
    random = np.random.default_rng(0)
    p, q0, q1 = random.uniform(0, 1, 50), random.uniform(0.6, 1, 50), random.uniform(0.6, 1, 50)
    m1 = random.integers(10, 90, 50)
    found = corrected(p, q0, q1, 200, 100 - m1, m1, Z)
    for i in range(50):
        expected = interval(p[i], q0[i], q1[i], 200, int(100 - m1[i]), int(m1[i]))
        assert (found.low[i], found.high[i]) == pytest.approx(expected, abs=1e-12)
        assert found.estimate[i] == pytest.approx((p[i] + q0[i] - 1) / (q0[i] + q1[i] - 1))


def test_allocation_balances_the_two_variances() -> None:
    """Without a pilot's smoothing, m1 minimises ((1-th)^2 v0 / m0 + th^2 v1 / m1) nearly."""
    m1 = allocate(1000, np.array([0.4]), np.array([0.75]), np.array([0.75]), 10)
    assert m1.tolist() == [400]  # alike errors: the labels go as the judged rate does
    found = allocate(100, np.array([0.0, 1.0, 0.5]), np.ones(3), np.ones(3), 10).tolist()
    assert found == [90, 90, 50]  # never fewer than the pilot's, a side


def test_naive_coverage_is_a_sum_over_counts() -> None:
    n, theta, rate = 30, 0.6, 0.7 * 0.6 + (1 - 0.8) * 0.4
    total = 0.0
    for k in range(n + 1):
        p = k / n
        half = Z * math.sqrt(p * (1 - p) / n)
        if p - half <= theta <= p + half:
            total += math.comb(n, k) * rate**k * (1 - rate) ** (n - k)
    assert naive_coverage(theta, 0.8, 0.7, n, Z) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("method", ["naive", "corrected", "adaptive", "difference", "human"])
def test_simulation_meets_theory(method: str) -> None:
    found = metrics(f"task.method={method}", "task.theta=0.4", "task.replicates=20000")
    for name, value in found["theory"].items():
        tolerance = {"bias": 2e-3, "sd": 5e-4, "coverage": 8e-3}[name]
        assert found["measured"][name] == pytest.approx(value, abs=tolerance), name


def test_a_perfect_judge_is_a_census() -> None:
    found = metrics("task.q0=1", "task.q1=1", "task.theta=0.3", "task.answers=400")
    assert found["theory"]["sd"] == pytest.approx(math.sqrt(0.3 * 0.7 / 400))
    assert found["measured"]["sd"] == pytest.approx(found["theory"]["sd"], rel=0.05)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["task.q0=0.5", "task.q1=0.5"], "more than 1"),
        (["task.labels=10"], "two pilots"),
        (["task.prevalence=0"], "one kind only"),
    ],
)
def test_refuses_what_says_nothing(words: list[str], complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        metrics(*words)


def test_seeds_are_samples() -> None:
    values: list[Any] = [metrics(f"seed={s}", "task.replicates=100")["measured"] for s in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
