"""The ladder's laws: their slopes, and fits against made-up runs and another optimizer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares

from ppr.data.published.olmo_ladder import OlmoLadder
from ppr.scaling.fit import Array
from ppr.scaling.ladder_laws import (
    DELTA,
    chinchilla,
    compute,
    fit_huber,
    fit_sigmoid,
    one_step,
    sigmoid,
)
from ppr.studies.scaling_laws.model_ladder import MADE, SIZES, TARGETS, ModelLadder, smoothed

RANDOM = np.random.default_rng(0)
PLACES = np.exp(RANDOM.uniform(18, 26, (16, 2)))
LAWS: dict[str, tuple[Any, Array, list[float]]] = {
    "chinchilla": (chinchilla, PLACES, [6.0, 7.0, 0.4, 0.35, 0.5]),
    "compute": (compute, PLACES[:, 0] * PLACES[:, 1], [3.0, 0.1, 0.5]),
    "one_step": (one_step, PLACES, [4.0, 6.0, 0.2, 0.3, -1.0, -0.7, 0.9]),
}


@pytest.mark.parametrize("name", LAWS)
def test_slopes_are_those_of_the_law(name: str) -> None:
    law, inputs, parameters = LAWS[name]
    p = np.array(parameters)
    slopes = law(p, inputs)[1]
    for at, step in enumerate(1e-6 * np.eye(len(p))):
        found = (law(p + step, inputs)[0] - law(p - step, inputs)[0]) / 2e-6
        assert slopes[:, at] == pytest.approx(found, rel=1e-6, abs=1e-8)


def test_the_law_is_its_formula() -> None:
    a, b, alpha, beta, least = MADE[0]
    n, d = PLACES[3]
    loss = np.exp(a) / n**alpha + np.exp(b) / d**beta + least
    assert chinchilla(MADE[0], PLACES)[0][3] == pytest.approx(loss, rel=1e-12)
    p = np.array(LAWS["one_step"][2])
    inner = np.exp(p[0]) / n ** p[2] + np.exp(p[1]) / d ** p[3] + p[4]
    assert one_step(p, PLACES)[0][3] == pytest.approx(p[5] / (1 + np.exp(-inner)) + p[6])


def test_the_huber_fit_is_that_of_another_optimizer() -> None:
    sizes = np.array([[n, 20.0 * n * k] for n, _ in SIZES.values() for k in (1, 2, 5, 10)])
    losses = chinchilla(MADE[0], sizes)[0] * np.exp(0.004 * RANDOM.standard_normal(16))
    found = fit_huber(chinchilla, sizes, losses, (3.0, 6.0, 0.1, 0.2, 1.0), [(0, None)] * 5)

    def away(p: Array) -> Array:
        return np.asarray(np.log(chinchilla(p, sizes)[0]) - np.log(losses))

    other = least_squares(
        away, MADE[0], bounds=(0, np.inf), loss="huber", f_scale=DELTA, x_scale="jac",
        ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=5000,
    )  # fmt: skip
    size = np.abs(away(found))
    cost = np.where(size < DELTA, size**2 / 2, DELTA * (size - DELTA / 2)).sum()
    assert cost == pytest.approx(other.cost, rel=1e-4)
    target = np.array([[13e9, 5e12]])
    assert chinchilla(found, target)[0] == pytest.approx(chinchilla(other.x, target)[0], abs=2e-3)


def test_the_sigmoid_is_found_again() -> None:
    x = np.append(np.linspace(0.6, 1.3, 30), 0.0)
    found = fit_sigmoid(x, sigmoid(x, *MADE[1]), 0.25)
    assert sigmoid(x, *found) == pytest.approx(sigmoid(x, *MADE[1]), abs=1e-4)


def test_smoothing_is_a_mean_of_the_last_five() -> None:
    values = RANDOM.standard_normal(9)
    expected = [values[max(0, at - 4) : at + 1].mean() for at in range(9)]
    assert smoothed(values) == pytest.approx(expected)
    assert smoothed(values[:3]) == pytest.approx(expected[:3])


@pytest.mark.parametrize("target", TARGETS)
def test_exact_runs_are_predicted_exactly(target: Any) -> None:
    bench: Any = SimpleNamespace(dataset=OlmoLadder().synthetic(4), values={"seed": 0}, seed=0)
    _, parameters, _ = TARGETS[target]
    loss = chinchilla(MADE[0], np.array([[parameters, 400.0 * parameters]]))[0][0]
    for of in ("mmlu", "piqa"):
        found = ModelLadder(bench, of=of, target=target, bootstraps=3).measure()
        assert found["actual"]["loss"] == pytest.approx(loss)
        assert found["predicted"]["loss"] == pytest.approx(loss, rel=2e-3)
        assert found["error"]["step2"] < 1e-3
        assert found["error"]["accuracy"] < 5e-3
        assert found["bootstrap"]["low"] <= found["bootstrap"]["high"]
    both = ModelLadder(bench, of="good", target="both").measure()
    assert both["error"]["accuracy"] < 5e-3
    spent = sum(f * 20 * k * n for n, f in SIZES.values() for k in (1, 2, 5, 10))
    targets = sum(f * 400 * n for _, n, f in TARGETS.values())
    assert both["cost"]["share"] == pytest.approx(spent / targets)


@pytest.mark.parametrize("by", ["flops", "one_step"])
def test_the_other_ways_predict_too(by: Any) -> None:
    bench: Any = SimpleNamespace(dataset=OlmoLadder().synthetic(4), values={"seed": 0}, seed=0)
    found = ModelLadder(bench, of="piqa", by=by).measure()
    assert 0 < found["error"]["accuracy"] < 0.1
