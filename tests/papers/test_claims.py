"""Claims: each test against scipy, its false positives by simulation, each verdict by example."""

from __future__ import annotations

import math

import numpy as np
import pytest
from claims_toy import GREATER, make_paper, results, verdict
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ppr.errors import BadRequest
from ppr.papers.claims import judge
from ppr.papers.comparisons import (
    LEVEL,
    POWER,
    Shift,
    holm,
    one_sample,
    p_above,
    p_below,
    paired,
    seeds_needed,
    welch,
)
from ppr.papers.plans import check_claims

samples = st.lists(st.floats(-100, 100), min_size=2, max_size=8).filter(lambda x: np.ptp(x) > 1e-3)


@given(samples, samples, st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_welch_is_scipys(first: list[float], second: list[float], bound: float) -> None:
    shift = welch(first, second)
    above = stats.ttest_ind(np.array(first) - bound, second, equal_var=False, alternative="greater")
    below = stats.ttest_ind(np.array(first) - bound, second, equal_var=False, alternative="less")
    assert p_above(shift, bound) == pytest.approx(above.pvalue, rel=1e-6, abs=1e-12)
    assert p_below(shift, bound) == pytest.approx(below.pvalue, rel=1e-6, abs=1e-12)
    assert shift.freedom == pytest.approx(above.df, rel=1e-6)


@given(samples, st.floats(-5, 5))
@settings(max_examples=50, deadline=None)
def test_one_sample_and_paired_are_scipys(values: list[float], bound: float) -> None:
    expected = stats.ttest_1samp(values, bound, alternative="greater").pvalue
    assert p_above(one_sample(values, bound), 0) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    other = [math.sin(i) for i in range(len(values))]
    pairs = paired(dict(enumerate(values)), {**dict(enumerate(other)), 99: 1e9})
    expected = stats.ttest_rel(values, other, alternative="greater").pvalue
    assert p_above(pairs, 0) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_holm_is_the_smallest_level_that_rejects(p_values: list[float]) -> None:
    def rejects(level: float) -> set[int]:
        """Holm's own procedure: step down, stop at the first that is not small enough."""
        found: set[int] = set()
        for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[index] > level / (len(p_values) - rank):
                break
            found.add(index)
        return found

    for index, adjusted in enumerate(holm(p_values)):
        assert index in rejects(min(1.0, adjusted * (1 + 1e-9))) or adjusted == 1
        assert index not in rejects(adjusted * (1 - 1e-9))


@pytest.mark.parametrize(("distance", "parts"), [(1, ((1.0, 3), (1.5, 3))), (0.5, ((1.0, 4),))])
def test_seeds_needed_reach_the_power_and_one_fewer_does_not(
    distance: float, parts: tuple[tuple[float, int], ...]
) -> None:
    def power(n: int) -> float:
        again = Shift(distance, tuple((s, n) for s, _ in parts))
        critical = stats.t.ppf(1 - LEVEL, again.freedom)
        return float(stats.nct.sf(critical, again.freedom, distance / again.error))

    needed = seeds_needed(Shift(distance, parts), distance)
    assert needed is not None
    assert power(needed) >= POWER > power(needed - 1)


def test_seeds_needed_gives_up_on_what_no_plan_can_reach() -> None:
    assert seeds_needed(Shift(1e-6, ((1.0, 3), (1.0, 3))), 1e-6) is None


HIGH, LOW, MID = [5.0, 5.1, 5.2], [1.0, 1.2, 1.1], [3.0, 3.1, 2.9]

VERDICTS = {
    "greater holds": (GREATER, {"a_x": HIGH, "b_x": LOW}, "reproduced"),
    "greater reversed": (GREATER, {"a_x": LOW, "b_x": HIGH}, "not reproduced"),
    "no difference": (GREATER, {"a_x": [1.0, 1.2, 1.1], "b_x": [1.05, 1.15, 1.09]}, "inconclusive"),
    "half run": (GREATER, {"a_x": HIGH}, "not run"),
    "one seed": (GREATER, {"a_x": [5.0], "b_x": LOW}, "inconclusive"),
    "no seed moves either": (GREATER, {"a_x": [5.0] * 3, "b_x": [1.1] * 3}, "reproduced"),
    "no seed moves either, reversed": (
        GREATER,
        {"a_x": [1.1] * 3, "b_x": [5.0] * 3},
        "not reproduced",
    ),
    "a seed moves one": (GREATER, {"a_x": [5.0] * 3, "b_x": LOW}, "reproduced"),
    "less": ({**GREATER, "test": "less"}, {"a_x": LOW, "b_x": HIGH}, "reproduced"),
    "less reversed": ({**GREATER, "test": "less"}, {"a_x": HIGH, "b_x": LOW}, "not reproduced"),
    "margin kept": ({**GREATER, "margin": 3}, {"a_x": HIGH, "b_x": LOW}, "reproduced"),
    "margin missed": ({**GREATER, "margin": 5}, {"a_x": HIGH, "b_x": LOW}, "not reproduced"),
    "than": (
        {"test": "greater", "cells": ["t.A.x"], "than": 4},
        {"a_x": HIGH},
        "reproduced",
    ),
    "negligible": (
        {**GREATER, "negligible": 3.0},
        {"a_x": [1.0, 1.2, 1.1], "b_x": [1.05, 1.15, 1.09]},
        "not reproduced",
    ),
    "paired": (
        {**GREATER, "paired": True},
        {"a_x": [1.1, 5.12, 9.09], "b_x": [1.0, 5.0, 9.0]},
        "reproduced",
    ),
    "the same unpaired": (
        GREATER,
        {"a_x": [1.1, 5.12, 9.09], "b_x": [1.0, 5.0, 9.0]},
        "inconclusive",
    ),
    "every column": (
        {"test": "greater", "cells": ["t.A", "t.B"]},
        {"a_x": HIGH, "b_x": LOW, "a_y": HIGH, "b_y": LOW},
        "reproduced",
    ),
    "one column against": (
        {"test": "greater", "cells": ["t.A", "t.B"]},
        {"a_x": HIGH, "b_x": LOW, "a_y": LOW, "b_y": HIGH},
        "not reproduced",
    ),
    "equal": (
        {"test": "equal", "cells": ["t.A.x", "t.B.x"], "tolerance": 1},
        {"a_x": LOW, "b_x": [1.2, 1.0, 1.15]},
        "reproduced",
    ),
    "not equal": (
        {"test": "equal", "cells": ["t.A.x", "t.B.x"], "tolerance": 1},
        {"a_x": LOW, "b_x": HIGH},
        "not reproduced",
    ),
    "matches": (
        {"test": "matches", "cells": ["t.A"], "tolerance": 1},
        {"a_x": [10.1, 9.9, 10.2]},
        "reproduced",
    ),
    "matches too spread to say": (
        {"test": "matches", "cells": ["t.A"], "tolerance": 1},
        {"a_x": [9.0, 11.0, 10.0]},
        "inconclusive",
    ),
    "no match": (
        {"test": "matches", "cells": ["t.A"], "tolerance": 1},
        {"a_x": HIGH},
        "not reproduced",
    ),
    "matches within the reported interval": (
        {"test": "matches", "cells": ["t.B"], "tolerance": 0.5},
        {"b_y": [11.0, 11.1, 10.9]},
        "reproduced",
    ),
    "increasing along a row": (
        {"test": "monotone", "cells": ["t.A"]},
        {"a_x": LOW, "a_y": HIGH},
        "reproduced",
    ),
    "decreasing down the rows": (
        {"test": "monotone", "direction": "decreasing", "cells": ["t.A.x", "t.B.x", "t.C.1.x"]},
        {"a_x": HIGH, "b_x": MID, "c_x": LOW},
        "reproduced",
    ),
    "one step wrong": (
        {"test": "monotone", "cells": ["t.A.x", "t.B.x", "t.C.1.x"]},
        {"a_x": LOW, "b_x": HIGH, "c_x": MID},
        "not reproduced",
    ),
    "ratio": (
        {"test": "ratio", "cells": ["t.A.x", "t.B.x"], "at_least": 4},
        {"a_x": HIGH, "b_x": LOW},
        "reproduced",
    ),
    "ratio missed": (
        {"test": "ratio", "cells": ["t.A.x", "t.B.x"], "at_least": 6},
        {"a_x": HIGH, "b_x": LOW},
        "not reproduced",
    ),
    "ratio at most": (
        {"test": "ratio", "cells": ["t.A.x", "t.B.x"], "at_most": 6},
        {"a_x": HIGH, "b_x": LOW},
        "reproduced",
    ),
    "ratio to about nothing": (
        {"test": "ratio", "cells": ["t.A.x", "t.B.x"], "at_least": 4},
        {"a_x": HIGH, "b_x": [-0.1, 0.1, 0.02]},
        "inconclusive",
    ),
    "exact": (
        {"test": "exact", "cells": ["t.A.x"], "value": -1 / 7, "precision": 1e-6},
        {"a_x": [-1 / 7 * (1 + 9e-7), -1 / 7]},
        "reproduced",
    ),
    "one run is not exact": (
        {"test": "exact", "cells": ["t.A.x"], "value": -1 / 7, "precision": 1e-6},
        {"a_x": [-1 / 7 * (1 + 2e-6), -1 / 7]},
        "not reproduced",
    ),
    "a lower bound": (
        {"test": "exact", "cells": ["t.A.x"], "at_least": 2, "precision": 0},
        {"a_x": [2.0, 7.0]},
        "reproduced",
    ),
    "one run below a lower bound": (
        {"test": "exact", "cells": ["t.A.x"], "at_least": 2, "precision": 1e-6},
        {"a_x": [1.99, 7.0]},
        "not reproduced",
    ),
    "an upper bound, within its precision": (
        {"test": "exact", "cells": ["t.A.x"], "at_most": 2, "precision": 1e-3},
        {"a_x": [2.001, -7.0]},
        "reproduced",
    ),
    "one run above an upper bound": (
        {"test": "exact", "cells": ["t.A.x"], "at_most": 2, "precision": 0},
        {"a_x": [2.001, -7.0]},
        "not reproduced",
    ),
    "exactly zero": (
        {"test": "exact", "cells": ["t.A.x"], "value": 0, "precision": 1e-6},
        {"a_x": [5e-7]},
        "reproduced",
    ),
    "exact by seed": (
        {"test": "exact", "cells": ["t.A.x", "t.B.x"], "precision": 1e-6},
        {"a_x": [1.0, 2.0], "b_x": [1.0, 2.0]},
        "reproduced",
    ),
    "exact by seed, exchanged": (
        {"test": "exact", "cells": ["t.A.x", "t.B.x"], "precision": 1e-6},
        {"a_x": [1.0, 2.0], "b_x": [2.0, 1.0]},
        "not reproduced",
    ),
    "exact, nothing run": (
        {"test": "exact", "cells": ["t.A.x"], "value": 0, "precision": 1e-6},
        {},
        "not run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts(name: str) -> None:
    claim, values, expected = VERDICTS[name]
    found = verdict(claim, values)
    assert found.outcome == expected, found
    assert "\n" not in found.reason
    assert found.reason


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"a_x": [5.0], "b_x": [1.0]}, "n=1: a test needs two seeds or more"),
        ({"a_x": HIGH}, "no finished run of t.B.x"),
    ],
)
def test_what_cannot_be_tested_says_why(values: dict[str, list[float]], reason: str) -> None:
    assert reason in verdict(GREATER, values).reason


def test_inconclusive_says_how_many_seeds_and_that_more_are_a_second_test() -> None:
    values = {"a_x": [1.0, 2.0, 3.0], "b_x": [0.0, 1.0, 2.0]}
    found = verdict(GREATER, values)
    assert found.outcome == "inconclusive"
    assert found.seeds_needed is not None
    assert f"about {found.seeds_needed} seeds a cell would likely decide it" in found.reason
    assert "seeds added to this table would be a second test at the same level" in found.reason
    # Normal theory by hand: (z_.95 + z_.8)^2 * (1 + 1) / 1^2 = 12.4 seeds, a few more for t.
    assert 12 <= found.seeds_needed <= 16
    tiny = verdict(GREATER, {"a_x": [1.0, 2.0, 3.001], "b_x": [1.0, 2.0, 3.0]})
    assert tiny.seeds_needed is None
    assert "more than 1000" in tiny.reason


REASONS = {
    "margin missed": (
        {**GREATER, "margin": 5},
        {"a_x": HIGH, "b_x": LOW},
        "4 higher, more than 5 higher asked: the margin is shown to be missed, p = ",
    ),
    "opposite": (
        {**GREATER, "margin": 5},
        {"a_x": LOW, "b_x": HIGH},
        "4 lower, more than 5 higher asked: the opposite is shown, p = ",
    ),
    "opposite, no margin": (
        GREATER,
        {"a_x": LOW, "b_x": HIGH},
        "4 lower, higher asked: the opposite is shown, p = ",
    ),
    "no opposite to being equal": (
        {"test": "equal", "cells": ["t.A.x", "t.B.x"], "tolerance": 1},
        {"a_x": LOW, "b_x": HIGH},
        "4 apart, less than 1 asked: shown not to be so, p = ",
    ),
    "open, would turn out against": (
        {**GREATER, "margin": 5},
        {"a_x": [4.0, 5.0, 6.0], "b_x": [1.0, 2.0, 0.5]},
        "3.833 higher, more than 5 higher asked: not decided, p = 0.",
    ),
    "shown": (
        {**GREATER, "test": "less", "margin": 3},
        {"a_x": LOW, "b_x": HIGH},
        "4 lower, more than 3 lower asked: shown, p = ",
    ),
    "ratio": (
        {"test": "ratio", "cells": ["t.A.x", "t.B.x"], "at_least": 2},
        {"a_x": HIGH, "b_x": LOW},
        "4.636 times, at least 2 times asked: shown, p = ",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_says_what_was_found_and_what_was_asked(name: str) -> None:
    claim, values, said = REASONS[name]
    assert said in verdict(claim, values).reason


def test_the_seeds_that_would_decide_have_a_side() -> None:
    claim = {**GREATER, "margin": 5}
    against = verdict(claim, {"a_x": [4.0, 5.0, 6.0], "b_x": [1.0, 2.0, 0.5]}).reason
    assert "seeds a cell would likely decide it, against the claim; " in against
    near = verdict(GREATER, {"a_x": [1.0, 2.0, 3.0], "b_x": [0.0, 1.0, 2.0]}).reason
    assert "seeds a cell would likely decide it, for the claim; " in near


def test_the_worst_run_of_a_bound_is_the_nearest_and_not_the_last() -> None:
    claim = {"test": "exact", "cells": ["t.A.x"], "at_least": 1, "precision": 0}
    kept = verdict(claim, {"a_x": [1.5, 1.0000000012, 1.3]})
    assert kept.outcome == "reproduced"
    assert kept.reason == "worst of 3 runs, t.A.x seed=1: 1, at least 1 asked"
    most = verdict({**claim, "at_least": None, "at_most": 2}, {"a_x": [1.5, 1.75, 1.3]})
    assert "seed=1: 1.75, at most 2 asked" in most.reason
    broken = verdict(claim, {"a_x": [1.5, 0.5, 0.75]})
    assert broken.outcome == "not reproduced"
    assert "seed=1: 0.5, at least 1 asked; off by 0.5 of it, 0 allowed" in broken.reason


@given(
    st.lists(st.floats(-2, 2), min_size=3, max_size=6),
    st.lists(st.floats(-2, 2), min_size=3, max_size=6),
    st.sampled_from(
        [
            {**GREATER, "negligible": 0.5},
            {**GREATER, "test": "less", "negligible": 0.5, "margin": 0.2},
            {"test": "monotone", "cells": ["t.A.x", "t.B.x"], "negligible": 0.5},
            {"test": "equal", "cells": ["t.A.x", "t.B.x"], "tolerance": 0.5},
        ]
    ),
)
@settings(deadline=None, max_examples=60)
def test_a_claim_and_its_contrary_are_never_both_shown(
    first: list[float], second: list[float], claim: dict[str, object]
) -> None:
    """Else the same true difference would be one verdict with few seeds, another with many."""
    found = verdict(claim, {"a_x": first, "b_x": second})
    if found.p_for is not None and found.p_against is not None:
        assert max(found.p_for, found.p_against) >= LEVEL


def test_a_difference_below_the_negligible_is_not_reproduced_with_any_number_of_seeds() -> None:
    claim = {**GREATER, "negligible": 1.0}
    generator = np.random.default_rng(0)
    for seeds in (50, 400):
        values = {"a_x": generator.normal(0.5, 1, seeds), "b_x": generator.normal(0, 1, seeds)}
        assert verdict(claim, values).outcome == "not reproduced"


def test_holm_holds_over_the_claims_of_a_table_run_or_not() -> None:
    values = {"a_x": [1.0, 1.3, 1.6, 1.4], "b_x": [0.8, 1.0, 1.2, 0.9]}
    alone = verdict(GREATER, values)
    assert alone.outcome == "reproduced"
    other = {"test": "greater", "cells": ["t.A.y", "t.B.y"]}
    among = judge(make_paper({"one": GREATER, "two": other}, seeds=4), results(values))
    assert among[0].p_for == pytest.approx(2 * alone.p_for)  # type: ignore[operator]
    assert [v.outcome for v in among] == ["inconclusive", "not run"]
    exact = {"test": "exact", "cells": ["t.A.x"], "value": 0, "precision": 1e-6}
    paper = {"test": "greater", "cells": ["p.A.y", "p.B.y"]}
    apart = judge(
        make_paper({"one": GREATER, "two": exact, "three": paper}, seeds=4), results(values)
    )
    assert apart[0].outcome == "reproduced"


NULLS: dict[str, tuple[dict[str, object], dict[str, float]]] = {
    "greater": (GREATER, {"a_x": 1, "b_x": 1}),
    "greater, paired": ({**GREATER, "paired": True}, {"a_x": 1, "b_x": 1}),
    "greater, margin": ({**GREATER, "margin": 2}, {"a_x": 3, "b_x": 1}),
    "less": ({**GREATER, "test": "less"}, {"a_x": 1, "b_x": 1}),
    "equal": (
        {"test": "equal", "cells": ["t.A.x", "t.B.x"], "tolerance": 4},
        {"a_x": 5, "b_x": 1},
    ),
    "matches": ({"test": "matches", "cells": ["t.A"], "tolerance": 4}, {"a_x": 14.5}),
    "monotone": (
        {"test": "monotone", "cells": ["t.A.x", "t.B.x", "t.C.1.x"]},
        {"a_x": 1, "b_x": 9, "c_x": 9},
    ),
    "ratio": (
        {"test": "ratio", "cells": ["t.A.x", "t.B.x"], "at_least": 2},
        {"a_x": 20, "b_x": 10},
    ),
}


@pytest.mark.parametrize("name", NULLS)
def test_false_positive_rate(name: str) -> None:
    """On the very edge of a claim, each definite verdict is wrong 5 % of the time at most."""
    claim, means = NULLS[name]
    paper = make_paper({"c": claim})
    generator = np.random.default_rng(7)
    trials, seeds = 600, 5
    counts = {"reproduced": 0, "not reproduced": 0, "inconclusive": 0}
    for _ in range(trials):
        # The cells differ in their spread, which is what Welch's test is for.
        drawn = {
            key: generator.normal(mean, 1 + 0.5 * spread, seeds).tolist()
            for spread, (key, mean) in enumerate(means.items())
        }
        counts[judge(paper, results(drawn))[0].outcome] += 1
    bound = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / trials)
    assert counts["reproduced"] / trials <= bound, counts
    assert counts["not reproduced"] / trials <= bound, counts
    # And the tests have not been made so careful that they never speak.
    assert counts["reproduced"] / trials >= LEVEL - 3 * math.sqrt(LEVEL * (1 - LEVEL) / trials)


BAD: dict[str, tuple[dict[str, object], str]] = {
    "no such table": ({**GREATER, "cells": ["q.A", "t.B"]}, "no table 'q'; allowed: p, t"),
    "no such row": ({**GREATER, "cells": ["t.D", "t.B"]}, "no row 'D'"),
    "no such column": ({**GREATER, "cells": ["t.A.z", "t.B.x"]}, "no column 'z'; allowed: x, y"),
    "row against cell": ({**GREATER, "cells": ["t.A", "t.B.x"]}, "2 cells against 1"),
    "scales": ({**GREATER, "cells": ["t.A", "p.B"]}, "different scales: desk, paper"),
    "nothing reported": (
        {"test": "matches", "cells": ["t.C.1"], "tolerance": 1},
        "reports no value",
    ),
    "one cell in order": (
        {"test": "monotone", "cells": ["t.A.x"]},
        "several columns, or several cells",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_claims_over_what_is_not_there_are_refused(name: str) -> None:
    claim, said = BAD[name]
    with pytest.raises(BadRequest) as error:
        check_claims(make_paper({"mine": claim}))
    assert said in str(error.value)
    assert str(error.value).startswith("claims.mine: ")
    assert "\n" not in str(error.value)


def test_cells_of_different_metrics_or_units_are_refused() -> None:
    columns = {"x": {"value": "x", "metric": "probe/top1"}, "y": {"metric": "knn/top1"}}
    paper = make_paper({"c": {**GREATER, "cells": ["t.A.x", "t.A.y"]}}, columns=columns)
    with pytest.raises(BadRequest, match=r"of different metrics: knn/top1, probe/top1"):
        check_claims(paper)
    check_claims(make_paper({"c": {**GREATER, "cells": ["t.A", "t.B"]}}, columns=columns))
    paper = make_paper({"c": {**GREATER, "cells": ["t.A.x", "u.A.x"]}}).model_copy(
        update={"tables": {**paper.tables, "u": paper.tables["t"].model_copy(update={"unit": "%"})}}
    )
    with pytest.raises(BadRequest, match=r"of different units"):
        check_claims(paper)


def test_the_untrained_encoder_has_the_same_metric() -> None:
    rows = {"A": "a", "B": {"value": "a", "metric": "untrained/${metric}"}}
    reported = {"source": "table 1"}
    paper = make_paper({"c": {**GREATER, "cells": ["t.A", "t.B"]}}, rows=rows, reported=reported)
    check_claims(paper)
    assert paper.tables["t"].metric_of("B", "x") == "untrained/probe/top1"
