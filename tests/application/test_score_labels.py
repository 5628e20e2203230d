"""Labels of quality levels: against loops by hand, and what they must keep."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from ppr.data.published.koniq_votes import KoniqVotes
from ppr.studies.application.score_labels import (
    LEVELS,
    ScoreLabels,
    adjusted,
    one_hot,
    raw,
    soft,
    two_levels,
)

RANDOM = np.random.default_rng(0)
MEANS, DEVIATIONS = RANDOM.uniform(1, 5, 50), RANDOM.uniform(0.3, 1.2, 50)


@pytest.mark.parametrize(
    ("mean", "level"),
    [(1.0, 1), (1.79, 1), (1.8, 1), (1.81, 2), (2.6, 2), (3.0, 3), (4.19, 4), (4.21, 5), (5.0, 5)],
)
def test_a_level_is_a_fifth_of_the_scale(mean: float, level: int) -> None:
    assert one_hot(np.array([mean])).tolist() == [[float(level == at) for at in range(1, 6)]]


def test_two_levels_have_the_mean() -> None:
    labels = two_levels(MEANS)
    assert labels @ LEVELS == pytest.approx(MEANS)
    assert labels.sum(1) == pytest.approx(np.ones(50))
    assert ((labels > 0).sum(1) <= 2).all()


def test_raw_labels_are_densities_and_masses() -> None:
    mass = quad(lambda x: norm.pdf(x, MEANS[7], DEVIATIONS[7]), 2.5, 3.5)[0]
    assert raw(MEANS, DEVIATIONS, "mass")[7, 2] == pytest.approx(mass)
    z = (3 - MEANS[7]) / DEVIATIONS[7]
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) / DEVIATIONS[7]
    assert raw(MEANS, DEVIATIONS, "density")[7, 2] == pytest.approx(density)


@pytest.mark.parametrize("by", ["density", "mass"])
def test_a_and_b_solve_both_equations(by: str) -> None:
    """Against a solver, one image at a time, before the clamp."""
    for mean, q in zip(MEANS, raw(MEANS, DEVIATIONS, by), strict=True):
        a, b = np.linalg.solve([[q.sum(), 5], [q @ LEVELS, 15]], [1, mean])
        found = adjusted(q[None], np.array([mean]))[0]
        assert found == pytest.approx(np.maximum(a * q + b, 0), abs=1e-5)


def test_soft_labels_fall_back() -> None:
    means, deviations = np.array([2.3, 2.3, 3.4]), np.array([0.1, 0.5, 0.5])
    labels, back = soft(means, deviations, "density")
    assert back.tolist() == [True, False, False]
    assert labels[0] == pytest.approx([0, 0.7, 0.3, 0, 0])
    labels, back = soft(MEANS, DEVIATIONS, "density")
    assert np.abs(labels @ LEVELS - MEANS).max() <= 0.1
    assert not back.all()


def test_the_study_measures_what_labels_keep() -> None:
    bench: Any = SimpleNamespace(dataset=KoniqVotes().synthetic(4), seed=0)
    found = {label: ScoreLabels(bench, label=label).measure() for label in
             ("one_hot", "soft", "two_levels")}  # fmt: skip
    assert found["two_levels"]["mean"]["error"] == pytest.approx(0, abs=1e-12)
    assert found["two_levels"]["label"]["two_levels"] == 1
    assert found["one_hot"]["mean"]["error"] > 10 * found["soft"]["mean"]["error"]
    assert found["soft"]["votes"]["wasserstein"] < found["one_hot"]["votes"]["wasserstein"]
    cleaned = ScoreLabels(bench, score="cleaned").measure()
    assert cleaned["mean"] == pytest.approx(found["soft"]["mean"])  # made up to be alike
    # one image's distribution, by hand: the area between two cumulative steps
    half = ScoreLabels(bench, part="test").measure()
    assert 0 < half["mean"]["error"] < found["one_hot"]["mean"]["error"]
