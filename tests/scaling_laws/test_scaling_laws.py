"""Laws of loss curves against loops over steps, simulations, and data drawn from the laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.launchers.execute import execute
from ppr.scaling import quadratic
from ppr.scaling.fit import fit
from ppr.scaling.quadratic import PEAK, WARMUP, schedule
from ppr.scaling.schedule_laws import PARAMETERS, law, starts
from ppr.studies.scaling_laws.schedule_search import last_loss, optimised

VALUES = {
    "power": [0.5, 0.3, 0.6],
    "annealing": [0.5, 0.3, 0.6, 0.02, 0.05],
    "multi": [0.5, 0.3, 0.6, 0.08, 1.5, 0.6, 0.4],
}


def by_loop(name: str, values: list[float], rates: list[float], t: int) -> float:
    L0, A, alpha, *others = values
    loss = L0 + A * sum(rates[: t + 1]) ** -alpha
    if name == "annealing":
        C, rest = others
        momentum = area = 0.0
        for i in range(1, t + 1):
            momentum = (1 - rest) * momentum + rates[i - 1] - rates[i]
            area += momentum
        loss -= C * area
    if name == "multi":
        B, C, beta, gamma = others
        for k in range(1, t + 1):
            x = C * rates[k] ** -gamma * sum(rates[k : t + 1])
            loss -= B * (rates[k - 1] - rates[k]) * (1 - (1 + x) ** -beta)
    return loss


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("kind", ["constant", "cyclic", "two_stage"])
def test_laws_are_their_sums(name: str, kind: str) -> None:
    rates, steps = schedule(kind, 120), np.array([29.0, 60.0, 80.0, 119.0])
    predict = law(name, [(rates, steps), (rates, steps[:1])])  # type: ignore[arg-type]
    logs = np.log(VALUES[name])
    values, slopes = predict(logs)
    expected = [by_loop(name, VALUES[name], rates.tolist(), int(t)) for t in [*steps, steps[0]]]
    assert values == pytest.approx(np.array(expected), rel=1e-12)
    for i in range(len(logs)):
        step = np.zeros(len(logs))
        step[i] = 1e-6
        slope = (predict(logs + step)[0] - predict(logs - step)[0]) / 2e-6
        assert slopes[:, i] == pytest.approx(slope, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", PARAMETERS)
def test_fit_finds_the_law_that_made_the_data(name: str) -> None:
    """From random starts; and its intervals hold the truth about as often as they say."""
    steps = np.arange(60.0, 300.0, 6.0)
    curves = [(schedule(kind, 300), steps) for kind in ("constant", "cosine", "two_stage")]
    known = law(name, curves)  # type: ignore[arg-type]
    truth, _ = known(np.log(VALUES[name]))
    random = np.random.default_rng(0)
    unseen = law(name, [(schedule("wsd", 300), steps)])  # type: ignore[arg-type]
    covered = []
    for _ in range(6):
        noisy = truth * np.exp(1e-3 * random.standard_normal(len(truth)))
        begun = [starts(name, noisy, 80.0, random) for _ in range(2)]  # type: ignore[arg-type]
        found = fit(known, noisy, [*begun, np.array(VALUES[name]) * 1.3], delta=1.0)
        assert known(np.log(found.parameters))[0] == pytest.approx(truth, rel=2e-3)
        values, errors = found.predict(unseen)
        away = np.abs(np.log(values) - np.log(unseen(np.log(VALUES[name]))[0]))
        covered.append((away < 1.96 * errors).mean())
    assert np.mean(covered) > 0.75


def test_expected_losses_are_those_of_sgd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stochastic gradient steps on drawn data, averaged."""
    monkeypatch.setattr(quadratic, "DIRECTIONS", 5)
    rates = schedule("cosine", 60)
    random, runs = np.random.default_rng(0), 4000
    i = np.arange(1, 6)
    spread, w = i**-1.5, np.sqrt(i**-1.2) * random.standard_normal((runs, 5))
    for eta in rates:
        x = np.sqrt(spread) * random.standard_normal((runs, 8, 5))
        wrong = np.einsum("rbi,ri->rb", x, w) - random.standard_normal((runs, 8))
        w = w - eta * np.einsum("rb,rbi->ri", wrong, x) / 8
    simulated = 0.5 + (w**2 @ spread).mean() / 2
    assert quadratic.expected_losses(rates)[-1] == pytest.approx(simulated, rel=5e-3)


def test_schedules_are_what_they_are_called() -> None:
    for kind in ("constant", "cosine", "linear", "two_stage", "wsd", "wsd_linear", "cyclic"):
        rates = schedule(kind, 330)
        assert rates[:WARMUP] == pytest.approx(np.linspace(0, PEAK, WARMUP))
        assert rates[WARMUP] == pytest.approx(PEAK)
        assert (rates[1:] > 0).all()
    assert schedule("wsd", 330)[WARMUP : WARMUP + 240] == pytest.approx(PEAK)
    assert schedule("linear", 330)[180] == pytest.approx(PEAK * 0.55)
    assert schedule("cosine", 330)[180] == pytest.approx(PEAK * 0.55)


def test_optimised_schedule_falls_and_ends_lower() -> None:
    values = np.array(VALUES["multi"])
    rates = optimised(values, 120, 80)
    assert (np.diff(rates[WARMUP:]) <= 1e-12).all()
    assert rates.max() <= PEAK
    assert rates.min() >= 0
    for kind in ("constant", "cosine", "linear", "wsd"):
        other = schedule(kind, 120)
        expected = by_loop("multi", VALUES["multi"], other.tolist(), 119)
        found = last_loss(torch.tensor(other), values).item()
        assert found == pytest.approx(expected)
        assert last_loss(torch.tensor(rates), values).item() < found


def test_studies() -> None:
    words = ["experiment=loss_curve_law", "task.steps=200", "task.tries=1"]
    metrics = execute(compose(words), Watcher())["metrics"]
    assert metrics["mean"]["error"] < 0.01
    words = ["experiment=schedule_search", "task.steps=200", "task.tries=1", "task.updates=30"]
    found = execute(compose(words), Watcher())["metrics"]["measured"]
    plain = execute(compose([*words, "task.kind=constant"]), Watcher())["metrics"]["measured"]
    assert found["loss"] < plain["loss"]
