"""Success rates of rated outputs: by hand, and intervals against the normal approximation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ppr.data.published.style_transfer import StyleTransfer
from ppr.studies.language_model.human_ratings import HumanRatings, passed

BENCH: Any = SimpleNamespace(dataset=StyleTransfer().synthetic(4), seed=0)


def table(**columns: list[Any]) -> dict[str, Any]:
    return {name: np.array(values) for name, values in columns.items()}


def test_success_is_above_three_in_all_questions() -> None:
    ratings = table(
        domain=["yelp"] * 3 + ["amazon"],
        original=["it is bad", "so so", "So So ", "so so"],
        target=["positive"] * 4,
        output=["it is good", "so good", "good", "so good"],
        grammaticality=[4, 4, 5, 1],
        sentiment=[5, 3, 4, 1],
        topic=[4, 5, 3, 1],
    )
    outputs = table(
        domain=["yelp"] * 5 + ["amazon"],
        system=["orgin"] * 3 + ["label", "orgin", "orgin"],
        label=[0] * 6,
        target=["positive"] * 6,
        index=[2, 1, 0, 0, 200, 0],
        original=["So so", "so so", "it is bad ", "so so", "never rated", "so so"],
        output=["Good", "so good ", "it is good", "so good", "x", "so good"],
    )
    found = passed(ratings, outputs, "yelp", "delete_and_retrieve")
    assert found.tolist() == [[1, 1, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0]]
    outputs["output"][0] = "never rated"
    with pytest.raises(KeyError):
        passed(ratings, outputs, "yelp", "delete_and_retrieve")


def test_the_rates_of_made_up_systems() -> None:
    """Of four sentences, system k mod 4 succeeds on 3 - k: 3, 2, 1, 0 and again."""
    for system, rate in (("delete_and_retrieve", 0.75), ("template", 0.25), ("human", 0.0)):
        found = HumanRatings(BENCH, system=system, draws=20).measure()
        assert found["rate"]["success"] == pytest.approx(rate)
        assert found["rate"]["grammaticality"] == found["rate"]["content"] == 1
        assert "gain" not in found
    found = HumanRatings(BENCH, over="delete_only", draws=20).measure()
    assert found["gain"]["success"] == pytest.approx(0.25)
    # cross-aligned systems (number 4) succeed as often as the first
    assert HumanRatings(BENCH, over="earlier", draws=20).measure()["gain"]["success"] == 0
    assert HumanRatings(BENCH, over="best_earlier", draws=20).measure()["gain"]["success"] == 0


def test_the_best_earlier_system_is_that_of_each_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"delete_and_retrieve": (1, 1, 1), "cross_aligned": (0.5, 0, 0),
             "style_embedding": (0, 0.5, 0.5), "multi_decoder": (0, 0, 0)}  # fmt: skip

    def passes(self: Any, system: str) -> list[Any]:
        return [np.arange(4)[:, None] < 4 * rate for rate in rates[system]]

    monkeypatch.setattr(HumanRatings, "_passed", lambda *a: [x.astype(float) for x in passes(*a)])
    study = HumanRatings(BENCH, over="earlier")
    assert [each.mean() for each in study._other()] == [0, 0.5, 0.5]
    study = HumanRatings(BENCH, over="best_earlier")
    assert [each.mean() for each in study._other()] == [0.5, 0.5, 0.5]


def test_an_interval_is_about_the_binomial_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (np.arange(400)[:, None] < 120).astype(float).repeat(4, 1)
    monkeypatch.setattr(HumanRatings, "_passed", lambda self, system: [values])
    found = HumanRatings(BENCH, domain="yelp", draws=4000).measure()["interval"]
    half = 1.96 * np.sqrt(0.3 * 0.7 / 400)
    assert found["low"] == pytest.approx(0.3 - half, abs=0.005)
    assert found["high"] == pytest.approx(0.3 + half, abs=0.005)
