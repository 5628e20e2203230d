"""Laws between losses: slopes, exact powers found again, a law carried through a power."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ppr.data.published.loss_to_loss import LossToLoss
from ppr.errors import BadRequest
from ppr.scaling.loss_to_loss import (
    ShiftedPower,
    explained,
    fit_shifted,
    fit_size_law,
    kaplan,
)
from ppr.studies.scaling_laws._corpora import MADE, Runs, made_law, paired
from ppr.studies.scaling_laws.loss_prediction import BY, LossPrediction
from ppr.studies.scaling_laws.loss_relation import LossRelation

RANDOM = np.random.default_rng(0)
SIZES = np.exp(RANDOM.uniform((17, 20), (21, 25), (40, 2)))


def bench() -> Any:
    return SimpleNamespace(dataset=LossToLoss().synthetic(4), seed=0)


def test_kaplan_is_its_formula_and_has_its_slopes() -> None:
    p = np.array([18.0, 20.6, 0.7, 0.41, 0.46])
    values, slopes = kaplan(p, SIZES)
    A, B, E = np.exp(p[:3])
    n, d = SIZES.T
    expected = ((A / n) ** (p[3] / p[4]) + B / d) ** p[4] + E
    assert values == pytest.approx(expected, rel=1e-12)
    for at, step in enumerate(1e-6 * np.eye(5)):
        found = (kaplan(p + step, SIZES)[0] - kaplan(p - step, SIZES)[0]) / 2e-6
        assert slopes[:, at] == pytest.approx(found, rel=1e-6, abs=1e-8)


def test_a_size_law_is_found_again() -> None:
    found = fit_size_law(SIZES, MADE(SIZES))
    assert [found.E, found.alpha, found.beta] == pytest.approx([2.0, 0.41, 0.46], abs=2e-3)
    assert found.exponent == pytest.approx(0.46 / 0.87, abs=2e-3)
    assert found.cost < 1e-10
    assert type(found.E) is float


def test_kappa_is_the_ratio_of_the_exponents_and_carries_the_law() -> None:
    """What two laws of one shape of the same runs imply, exactly."""
    other = made_law(4)
    x, y = MADE(SIZES), other(SIZES)
    power = fit_shifted(x, y, MADE.E, other.E)
    assert power.kappa == pytest.approx(other.alpha / MADE.alpha, rel=1e-6)
    assert power(x) == pytest.approx(y, rel=1e-9)
    assert MADE.through(power)(SIZES) == pytest.approx(y, rel=1e-9)


def test_shifted_powers_are_found_again_whatever_is_known() -> None:
    truth = ShiftedPower(0.8, 1.3, 2.0, 1.5)
    x = np.linspace(2.2, 4.0, 50)
    known = fit_shifted(x, truth(x), 2.0, 1.5)
    assert [known.kappa, known.K] == pytest.approx([0.8, 1.3], rel=1e-9)
    half = fit_shifted(x, truth(x), 2.0)
    assert [half.kappa, half.K, half.y_shift] == pytest.approx([0.8, 1.3, 1.5], rel=1e-4)
    blind = fit_shifted(x, truth(x))
    assert explained(blind(x), truth(x)) > 0.9999


def test_the_best_of_the_grid_of_shifts_is_taken() -> None:
    x, y = RANDOM.uniform(2, 3, 8), RANDOM.uniform(1, 2, 8)
    found = fit_shifted(x, y)
    least = np.inf
    for i, a in enumerate(np.linspace(0, x.min(), 100)):
        for b in np.linspace(0, y.min(), 100) if i % 9 == 0 else ():
            if a < x.min() and b < y.min():
                kappa, log_K = np.polyfit(np.log(x - a), np.log(y - b), 1)
                away = ((np.exp(log_K) * (x - a) ** kappa + b - y) ** 2).mean()
                least = min(least, away)
    assert ((found(x) - y) ** 2).mean() <= least * (1 + 1e-9)


def test_runs_are_paired_by_their_tokens() -> None:
    def runs(*tokens: float) -> Runs:
        return Runs({"tokens": np.array(tokens)}, np.arange(len(tokens)))

    a, b = paired(runs(1.0, 2.0, 3.0), runs(3.0, 1.0, 1.0))
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (0, 2), (2, 0)]


@pytest.mark.parametrize("relation", ["train_to_train", "test_to_test", "train_to_test"])
def test_exact_runs_have_an_exact_relation(relation: Any) -> None:
    found = LossRelation(bench(), relation=relation, other="starcoder").measure()
    number = {"train_to_train": (1, 5), "test_to_test": (4, 8), "train_to_test": (1, 4)}[relation]
    first, second = (made_law(at) for at in number)
    assert found["relation"]["kappa"] == pytest.approx(second.alpha / first.alpha, rel=0.01)
    assert found["relation"]["r2"] > 0.9999
    assert found["large"]["error"] < 1e-3


def test_exact_runs_have_their_law() -> None:
    found = LossRelation(bench(), corpus="proofpile").measure()
    assert found["law"]["E"] == pytest.approx(made_law(2).E, abs=0.01)
    assert found["large"]["error"] < 1e-3


def test_exact_runs_are_predicted_by_every_law() -> None:
    assert LossPrediction(bench(), by="skyline").measure()["law"]["r2"] > 0.999
    for by in ("test", "flops"):
        study = LossPrediction(bench(), what="large", by=by)  # type: ignore[arg-type]
        assert study.measure()["large"]["error"] < 0.02
    with pytest.raises(BadRequest, match="task.by=skyline"):
        LossPrediction(bench(), what="large", by="skyline")
    assert BY["law"] != BY["large"]
