"""Seeds are a plan: judged when all are there, and at declared looks that share the level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from claims_toy import GREATER, make_paper, results
from scipy import stats

from ppr.errors import BadRequest
from ppr.papers.claims import judge
from ppr.papers.reproduce import narrowed
from ppr.papers.verdict import Verdict

LOOKS = {"looks": [3, 6, 9]}
OPEN = [1.0, 2.0, 3.0], [0.9, 1.9, 3.1]
"""Two samples with nothing between them."""


def look(values: Mapping[str, Sequence[float]], **plan: object) -> Verdict:
    return judge(make_paper({"c": GREATER}, **(plan or LOOKS)), results(values))[0]


def test_a_claim_is_judged_on_the_seeds_that_its_table_states() -> None:
    apart = {"a_x": [5.0, 5.1, 5.2, 5.0], "b_x": [1.0, 1.1, 1.2, 1.0]}
    early = look(apart, seeds=5)
    assert early.outcome == "inconclusive"
    assert (
        early.reason
        == "t.A.x: 4 of 5 seeds, t.B.x: 4 of 5 seeds: judged on all of them, not before"
    )
    assert look(apart, seeds=4).outcome == "reproduced"
    more = {name: [*values, 1e6] for name, values in apart.items()}
    assert look(more, seeds=4) == look(apart, seeds=4)


def test_an_exact_claim_is_refuted_by_any_run_and_holds_of_all() -> None:
    claim = {"test": "exact", "cells": ["t.A.x"], "value": 1, "precision": 1e-6}
    paper = make_paper({"c": claim}, seeds=3)
    assert judge(paper, results({"a_x": [1.0, 1.0]}))[0].outcome == "inconclusive"
    assert judge(paper, results({"a_x": [1.0, 2.0]}))[0].outcome == "not reproduced"
    assert judge(paper, results({"a_x": [1.0, 1.0, 1.0]}))[0].outcome == "reproduced"


def test_the_p_value_counts_every_look_that_is_planned() -> None:
    first, second = [1.0, 2.0, 3.0], [0.5, 1.0, 2.2]
    p = stats.ttest_ind(first, second, equal_var=False, alternative="greater").pvalue
    found = look({"a_x": first, "b_x": second})
    assert [each.seeds for each in found.looks] == [3]
    assert found.p_for == pytest.approx(3 * p)
    more, less = [*first, 4.0, 5.0, 6.0], [*second, 1.0, 2.0, 3.0]
    later = stats.ttest_ind(more, less, equal_var=False, alternative="greater").pvalue
    found = look({"a_x": more, "b_x": less})
    assert [each.seeds for each in found.looks] == [3, 6]
    assert found.p_for == pytest.approx(3 * min(p, later))
    assert "(n=6)" in found.reason


def test_an_open_look_advises_the_next_and_its_price() -> None:
    found = look({"a_x": OPEN[0], "b_x": OPEN[1]})
    assert found.outcome == "inconclusive"
    # Three rows and two columns of the table, of which two cells have three seeds.
    price = "next look at 6 seeds: 30 more runs: ppr reproduce paper/t --seeds 6"
    assert found.reason.endswith(price)
    assert "look 1 of 3" in found.reason
    last = look({name: [*cell] * 3 for name, cell in zip(("a_x", "b_x"), OPEN, strict=True)})
    assert last.reason.endswith("the last look is taken")


def test_seeds_between_two_looks_wait_for_the_later() -> None:
    between = {"a_x": [*OPEN[0], 90.0, 91.0], "b_x": [*OPEN[1], 1.0, 2.0]}
    found, before = look(between), look({"a_x": OPEN[0], "b_x": OPEN[1]})
    assert (found.outcome, found.p_for) == (before.outcome, before.p_for)
    one = look({"a_x": [*between["a_x"], 90.5], "b_x": between["b_x"]})
    assert one.p_for == before.p_for


def test_what_one_look_has_decided_no_later_seed_turns() -> None:
    decided = {"a_x": [5.0, 5.1, 5.2], "b_x": [1.0, 1.1, 1.2]}
    turned = {"a_x": [*decided["a_x"], -50, -50.1, -50.2], "b_x": [*decided["b_x"], 9, 9.1, 9.2]}
    first, then = look(decided), look(turned)
    assert first.outcome == then.outcome == "reproduced"
    assert "look 1 of 3" in then.reason
    assert "(n=3)" in then.reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"looks": [5, 10, 8]}, "`looks`: 8 after 10; each takes more seeds"),
        ({"looks": [5, 5]}, "`looks`: 5 after 5"),
        ({"looks": [5, 10], "seeds": 7}, "`seeds`: 7 is none of the looks: 5, 10"),
        ({"looks": [1, 5]}, "looks.0=1: must be greater than or equal to 2"),
    ],
)
def test_looks_that_are_no_plan_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadRequest) as error:
        make_paper({}, **changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_first_look_is_what_a_table_asks_for_at_first() -> None:
    assert make_paper({}, looks=[5, 10]).tables["t"].seeds == 5
    assert make_paper({}, looks=[5, 10], seeds=10).tables["t"].seeds == 10
    assert narrowed(make_paper({}, looks=[5, 10]), "t", None, 10).tables["t"].seeds == 10
    assert narrowed(make_paper({}, seeds=5), "t", None, 3).tables["t"].seeds == 5


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"seeds": 5}, r"--seeds 20: paper/t states 5, .*beforehand: `looks: \[5, 20\]`"),
        ({"looks": [5, 10]}, "--seeds 20: the looks of paper/t are 5, 10"),
    ],
)
def test_seeds_beyond_the_plan_are_refused(plan: dict[str, object], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        narrowed(make_paper({}, **plan), "t", None, 20)


@pytest.mark.parametrize("test", ["greater", "equal"])
def test_the_level_holds_over_all_looks(test: str) -> None:
    """On the edge of a claim; the advice of an open verdict is followed to the last look."""
    claim = GREATER if test == "greater" else {**GREATER, "test": "equal", "tolerance": 4}
    paper = make_paper({"c": claim}, **LOOKS)
    generator = np.random.default_rng(3)
    draws, counts = 400, {"reproduced": 0, "not reproduced": 0, "inconclusive": 0}
    for _ in range(draws):
        edge = 4 if test == "equal" else 0
        values = {"a_x": generator.normal(edge, 1, 9), "b_x": generator.normal(0, 1, 9)}
        counts[judge(paper, results(values))[0].outcome] += 1
    bound = 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5
    assert counts["reproduced"] / draws <= bound
    assert counts["not reproduced"] / draws <= bound
    assert counts["reproduced"] > 0
