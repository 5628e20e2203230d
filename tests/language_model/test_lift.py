"""LIFT's baselines: functions, data and scores against loops, and against the authors' files."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ppr.studies.language_model.lift_baselines as lift
from ppr.errors import BadRequest


def formula(name: str, x: float) -> float:
    """Of one input, as the authors' generator says it."""
    if name == "linear":
        return 0.9 * x
    if name == "quadratic":
        return (x * x - 50) * 9 / 50
    if name == "exponential":
        low, high = math.exp(-2), math.exp(2)
        return ((math.exp(0.2 * x) - low) / (high - low) - 0.5) * 18
    if name == "cosine":
        return math.cos(0.5 * math.pi * x) * 9
    if name == "l1norm":
        return (abs(x) / 10 - 0.5) * 18
    y = x + 6 if x < -3 else 0 if x < 3 else x - 6
    return ((y + 4) / 8 - 0.5) * 18


@pytest.mark.parametrize("name", lift.FUNCTIONS)
@pytest.mark.parametrize("inputs", [1, 2])
def test_values_are_means_over_inputs(name: str, inputs: int) -> None:
    X, y, X_test, y_test = lift.draw(name, inputs, (-10.0, 10.0), integer=False)
    assert X.shape == (250, inputs)
    for row, value in zip(X_test, y_test, strict=True):
        assert value == pytest.approx(sum(formula(name, x) for x in row) / inputs)
    exact = np.array([sum(formula(name, x) for x in row) / inputs for row in X])
    assert (y - exact).std() == pytest.approx(0.1 * exact.std(), rel=0.1)


def test_test_points_are_the_authors() -> None:
    # the first rows of regression/accuracy/data_1/: linear_n_250_p_1_…, piecewise_n_250_p_2_…
    _, _, X, y = lift.draw("linear", 1, (-10.0, 10.0), integer=False)
    assert X[:3, 0] == pytest.approx([-5.835034065221267, -1.1326459639757651, 4.3120255030860974])
    assert y[:2] == pytest.approx([-5.25153065869914, -1.0193813675781886])
    _, _, X, y = lift.draw("piecewise", 2, (-10.0, 10.0), integer=False)
    assert X[1] == pytest.approx([7.030961027743505, -7.447755515639585])
    assert y[:2] == pytest.approx([0.28870871780585405, -0.46889379888309035])


def test_rounded_inputs_have_rounded_values_but_exact_ones_in_the_test() -> None:
    X, y, X_test, y_test = lift.draw("cosine", 1, (0.0, 300.0), integer=True)
    assert (X.round() == X).all()
    assert (y == y.round()).all()
    assert (X_test == X_test.round()).all()
    assert set(np.abs(y_test).round(6)) <= {0.0, 9.0}


def test_the_error_is_relative_to_the_mean_and_less_what_is_far() -> None:
    y = np.array([0.0, 1.0, 2.0, 3.0])
    assert lift.relative_error(np.full(4, 1.5), y) == 1
    assert lift.relative_error(y + 0.5, y) == pytest.approx(2 / 4)
    many, off = np.arange(20.0), np.zeros(20)
    off[7] = 100
    predicted, kept = lift.without_far(many + off, many)
    assert kept.tolist() == [v for v in range(20) if v != 7]
    assert (predicted == kept).all()


def test_a_polynomial_fits_a_parabola_and_no_cosine() -> None:
    def measured(name: Any) -> dict[str, dict[str, float]]:
        bench: Any = SimpleNamespace(seed=0)
        study = lift.LiftBaselines(bench, function=name, trees=5)
        return study.measure()

    parabola, cosine = measured("quadratic"), measured("cosine")
    assert parabola["polynomial"]["rae"] < 0.05
    assert cosine["polynomial"]["rae"] > 0.9
    assert cosine["gaussian_process"]["rae"] < 0.1
    assert parabola.keys() == {
        "polynomial", "kernel_ridge", "knn", "network", "boosting", "forest", "gaussian_process",
    }  # fmt: skip


def test_the_seed_parts_the_samples_and_draws_no_others() -> None:
    def fitted(seed: int) -> float:
        bench: Any = SimpleNamespace(seed=seed)
        return lift.LiftBaselines(bench, trees=5).measure()["polynomial"]["rae"]

    assert fitted(0) == fitted(0) != fitted(1)


def test_a_range_that_is_none_is_refused() -> None:
    bench: Any = SimpleNamespace(seed=0)
    with pytest.raises(BadRequest, match="task.low=1: must be below"):
        lift.LiftBaselines(bench, low=1, high=1)
