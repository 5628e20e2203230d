"""The published loss curves: schedules by loops, predictions by the law, AdamW by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ppr.data.published.loss_curves import LossCurves
from ppr.scaling.schedule_laws import law
from ppr.studies.scaling_laws._curves import FITTED, PEAK, TESTED, WARMUP, curve, rates
from ppr.studies.scaling_laws.published_curves import (
    MADE,
    PUBLISHED,
    PublishedCurves,
    by_adamw,
    last_loss,
    predicted,
)


def rate(name: str, t: int) -> float:
    if t < WARMUP:
        return PEAK * t / (WARMUP - 1)
    if name == "cosine_24000":
        return 3e-5 + 1.35e-4 * (1 + math.cos(math.pi * (t - WARMUP) / (24_000 - WARMUP)))
    if name == "wsdcon_9":
        return PEAK if t < 8000 else 9e-5
    gone = max(0.0, (t - 20_000) / 4000)
    if name == "wsd_20000_24000":
        return float(PEAK * 0.1**gone)
    return PEAK - 2.7e-4 * gone if name == "wsdld_20000_24000" else PEAK


@pytest.mark.parametrize("name", [*FITTED, "wsd_20000_24000", "wsdld_20000_24000"])
def test_schedules_are_the_named_ones(name: str) -> None:
    found = rates(name)
    assert len(found) == (16_000 if name == "wsdcon_9" else 24_000)
    places = [0, 1, 2159, 2160, 7999, 8000, 15_999, *([] if "con_" in name else [20_000, 23_999])]
    assert found[places] == pytest.approx([rate(name, t) for t in places], rel=1e-12)


def test_every_curve_has_a_schedule() -> None:
    lengths = {name: len(rates(name)) for name in FITTED + TESTED}
    assert lengths["constant_72000"] == lengths["cosine_72000"] == 72_000
    assert lengths["wsdcon_3"] == lengths["wsdcon_18"] == 16_000
    assert rates("wsdcon_18")[-1] == pytest.approx(18e-5)


def test_a_curve_of_24000_steps_ends_before_its_last() -> None:
    table = {"size": np.array(["25M"] * 3, dtype=object), "loss": np.array([3.0, 2.0, 1.0])}
    table["schedule"] = np.array(["cosine_24000"] * 3, dtype=object)
    for last, kept in ((24_000, 2), (23_936, 3)):
        _, steps, losses = curve(table | {"step": np.array([1, 2, last])}, "25M", "cosine_24000")
        assert len(steps) == len(losses) == kept


@pytest.mark.parametrize("name", ["wsdcon_9", "wsdld_20000_24000"])
def test_predictions_are_the_law(name: str) -> None:
    schedule, steps = rates(name), np.array([2160.0, 8000.0, 9000.0, 15_999.0])
    expected = law("multi", [(schedule, steps)])(np.log(MADE))[0]
    assert predicted(MADE, schedule, steps) == pytest.approx(expected, rel=1e-10)
    rises = predicted(MADE, schedule, steps[-1:]) - predicted(MADE, schedule, steps[-1:], WARMUP)
    assert rises[0] > 0  # the warm-up's differences are negative
    assert last_loss(schedule[:16_000], MADE) == pytest.approx(
        predicted(MADE, schedule, steps[-1:], WARMUP)[0]
    )


def test_adamw_is_done_by_hand() -> None:
    """On a law of one point whose log residual is beyond Huber's corner: gradients are constant."""
    losses = np.array([1.0])

    def model(logs: Any) -> Any:  # the product of all parameters
        return np.exp([logs.sum()]), np.exp(logs.sum()) * np.ones((1, 7))

    begin = np.array([2.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6])
    p, first, second = begin.copy(), np.zeros(7), np.zeros(7)
    speed = np.array([0.05, 0.05, 0.005, 0.05, 0.05, 0.005, 0.005])
    best, least = begin, np.inf
    for step in range(1, 201):
        away = np.log(p).sum()
        cost = away**2 / 2 if abs(away) < 1e-3 else 1e-3 * (abs(away) - 5e-4)
        gradient = np.clip(away, -1e-3, 1e-3) / p
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        p = p * (1 - speed * 0.01)
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        p = p - speed * first / (1 - 0.9**step) / size
        if cost < least:
            best, least, waited = p.copy(), cost, 0
        else:
            waited += 1
        if step > 21 and waited >= 20:
            break
    assert by_adamw(model, losses, begin) == pytest.approx(best, rel=1e-6)


def test_exact_curves_are_explained_by_their_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PUBLISHED, "25M", tuple(MADE))
    bench: Any = SimpleNamespace(dataset=LossCurves().synthetic(4), seed=0)
    found = PublishedCurves(bench, size="25M", fit="published").measure()
    assert found["tested"]["r2"] == pytest.approx(1.0)
    assert found["fitted"]["cost"] < 1e-12
    assert found["last"]["optimised"] == found["last"]["wsd"]
    assert found["last"]["wsd"] < found["last"]["cosine"]
