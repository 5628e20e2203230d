"""Seeds that are unlike the others, skewed seeds, and rows that their seeds do not tell apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from claims_toy import make_paper, results, verdict
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ppr.papers.cells import cells
from ppr.papers.comparisons import leaders, one_sample, p_above, p_above_skewed, p_below_skewed
from ppr.report.sheet import fill
from ppr.results.statistics import far_seeds

TEN = [95.1, 94.8, 95.3, 95.0, 94.9, 95.2, 95.4, 94.7, 95.1, 95.0]


@pytest.mark.parametrize(
    ("changes", "n", "far"),
    [
        ({}, 10, []),
        ({3: 10.0}, 10, [3]),
        ({3: 10.0, 7: 12.0}, 10, [3, 7]),
        ({4: 10.0}, 5, [4]),
        ({0: 10.0, 4: 12.0}, 5, [0, 4]),
        ({3: 10.0}, 4, []),  # of four nobody can say which are the others
        ({3: 94.0}, 10, []),
    ],
)
def test_seeds_that_collapse_are_seen(changes: dict[int, float], n: int, far: list[int]) -> None:
    assert far_seeds({**dict(enumerate(TEN[:n])), **changes}) == far


def test_a_last_digit_is_no_collapse_and_a_collapse_among_equals_is_one() -> None:
    assert far_seeds(dict(enumerate([99.8, 99.8, 99.8, 99.8, 99.6]))) == []
    assert far_seeds(dict(enumerate([99.8, 99.8, 99.8, 99.8, 10.0]))) == [4]
    assert far_seeds(dict(enumerate([0.0] * 5))) == []


@pytest.mark.parametrize("n", [5, 6, 10, 20])
def test_normal_seeds_are_seldom_called_far(n: int) -> None:
    drawn = np.random.default_rng(0).normal(0, 1, (2000, n)).tolist()
    assert sum(bool(far_seeds(dict(enumerate(cell)))) for cell in drawn) <= 0.015 * 2000


def test_a_collapse_is_named_in_the_cell_and_in_the_verdict() -> None:
    claim = {"test": "greater", "cells": ["t.A.x"], "than": 50}
    values = {"a_x": [*TEN[:9], 10.0]}
    paper = make_paper({"c": claim}, seeds=10)
    cell = next(cell for cell in cells("t", paper.tables["t"]) if cell.place == "t.A.x")
    (note,) = results(values).fill(cell).notes
    assert note == "A, x: seed 9 (10) far from the others' 95.05: the mean says little of either"
    assert verdict(claim, values).reason.endswith("; far from the other seeds: t.A.x seed 9")
    assert "far" not in verdict(claim, {"a_x": TEN}).reason


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=12).filter(lambda x: np.ptp(x) > 0.1))
@settings(deadline=None, max_examples=50)
def test_skew_is_allowed_for_by_halls_transform(values: list[float]) -> None:
    n, g = len(values), float(stats.skew(values, bias=False))
    s = (np.mean(values) - 1) / np.std(values, ddof=1)
    # As Hall writes it, of S = T / sqrt n.
    t = math.sqrt(n) * (s + g * s**2 / 3 + g**2 * s**3 / 27 + g / (6 * n))
    expected = stats.t.sf(t, n - 1)
    assert p_above_skewed(one_sample(values), 1) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    mirrored = p_below_skewed(one_sample([-value for value in values]), -1)
    assert mirrored == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_it_takes_off_two_fifths_of_the_false_verdicts_on_exponential_seeds() -> None:
    drawn = np.random.default_rng(1).exponential(1, (2000, 5))
    shifts = [one_sample((-cell).tolist(), -1.0) for cell in drawn]
    plain = [shift for shift in shifts if p_above(shift, 0) < 0.05]
    assert 0.13 < len(plain) / 2000 < 0.19
    left = sum(p_above_skewed(shift, 0) < 0.05 for shift in plain) / 2000
    assert left < 0.6 * len(plain) / 2000


def test_a_verdict_says_if_it_rests_on_no_skew() -> None:
    claim = {"test": "less", "cells": ["t.A.x"], "than": 1}
    skewed = verdict(claim, {"a_x": [0.1, 0.15, 0.2, 0.25, 0.8]})
    assert skewed.outcome == "reproduced"
    assert "; but not if the skew of these seeds counts: p = 0." in skewed.reason
    even = verdict(claim, {"a_x": [0.1, 0.2, 0.3, 0.4, 0.5]})
    assert "skew" not in even.reason


def test_all_that_is_not_told_apart_from_the_best_leads() -> None:
    rows = {
        "best": [5.0, 5.2, 5.1, 4.9],
        "near": [4.9, 5.0, 5.2, 4.8],
        "far": [1.0, 1.2, 1.1, 0.9],
        "once": [9.0],
    }
    assert leaders(rows, "max") == {"best", "near"}
    assert leaders(rows, "min") == {"far"}
    assert leaders({"a": [1.0], "b": [2.0]}, "max") == set()
    assert leaders({"a": [1.0, 1.0], "b": [2.0, 2.0]}, "max") == set()


def test_of_equal_rows_one_is_seldom_left_out() -> None:
    """At most 5 % of tables, however many rows: which pair is compared depends on the means."""
    generator = np.random.default_rng(2)
    lost = 0
    for _ in range(300):
        rows = {str(row): generator.normal(0, 1, 5).tolist() for row in range(5)}
        lost += len(leaders(rows, "max")) < 5
    assert lost / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_rows_of_several_metrics_compete_where_the_table_says_what_is_best() -> None:
    rows = {"A": {"value": "a", "metric": "probe/top1"}, "B": {"value": "b", "metric": "probe/ece"}}
    metrics = {"a_x": [1.0, 1.1, 1.2], "b_x": [5.0, 5.1, 5.2]}
    plain = make_paper({}, rows=rows, seeds=3, reported={"source": "s"}).tables["t"]
    assert plain.best_of("A", "x") == ("max", "top1")
    assert plain.best_of("B", "x") == ("min", "ece")
    stated = make_paper(
        {}, rows={"A": "a", "B": "b"}, seeds=3, best="min", reported={"source": "s"}
    )
    sheet = fill(stated, "t", results(metrics))
    assert [sheet.is_best(sheet.places[row]["x"]) for row in ("A", "B")] == [True, False]
    none = make_paper(
        {},
        rows={"A": {"value": "a", "best": "none"}, "B": "b", "C": "c"},
        seeds=3,
        reported={"source": "s"},
    )
    sheet = fill(none, "t", results({**metrics, "c_x": [1.0, 1.1, 0.9]}))
    assert [sheet.is_best(sheet.places[row]["x"]) for row in ("A", "B", "C")] == [
        False,
        True,
        False,
    ]
