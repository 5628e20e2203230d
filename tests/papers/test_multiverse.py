"""A finding's direction in other universes: which are asked, their effects, robust or fragile."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from claims_toy import GREATER, make_paper
from scipy import stats
from signed import signed

from ppr.errors import BadRequest
from ppr.papers import cache
from ppr.papers.cells import Results
from ppr.papers.claims import judge
from ppr.papers.defaults import Facts
from ppr.papers.files import find_all, folders, read, reference
from ppr.papers.kinds import described, tally
from ppr.papers.multiverse import filled, universes
from ppr.papers.plans import plan, plans
from ppr.papers.robustness import Effect
from ppr.papers.schema import Paper
from ppr.papers.verdict import Verdict
from ppr.papers.verify import check
from ppr.papers.words import composed
from ppr.report.specification import Curve, Spec, curve, lines, save
from ppr.results.tree import Record, Scan

HERE = {"a_x": [5.0, 5.2, 5.4], "b_x": [3.0, 3.1, 3.3], "c_x": [1.0, 1.1, 1.4]}
LONGER = {"longer": "engine.epochs=40"}


class Toy:
    """A resolver that knows a variant by its words, and the facts that it is told."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def __call__(self, overrides: Sequence[str]) -> tuple[str, str]:
        if any("absent" in word for word in overrides):
            raise BadRequest("absent: no such key")
        experiment, *rest = overrides
        rest = [word for word in rest if word != "the.same=1"]
        variant = hashlib.sha256(" ".join(rest).encode()).hexdigest()[:10]
        return experiment.removeprefix("experiment="), variant

    def facts(self, overrides: Sequence[str]) -> Facts:
        return self._facts


def tree(
    there: Mapping[str, Mapping[str, Sequence[float]]],
    facts: Mapping[str, str] | None = None,
    other: Mapping[str, Sequence[float]] | None = None,
) -> Results:
    """Runs by the words of a universe ("" for the table itself), experiment -> a value a seed.

    `other`: experiment -> another metric's values in the table's own runs.
    """
    return Results(*runs(there, facts, other))


def runs(
    there: Mapping[str, Mapping[str, Sequence[float]]],
    facts: Mapping[str, str] | None = None,
    other: Mapping[str, Sequence[float]] | None = None,
) -> tuple[Toy, Scan]:
    toy = Toy(Facts(facts or {}, {"engine.epochs": 10}, 10.0, "d", ["linear", "knn"]))
    records = []
    for words, found in there.items():
        for experiment, values in found.items():
            _, variant = toy([experiment, *words.split()])
            for seed, value in enumerate(values):
                metrics = {"probe": {"top1": value}}
                if other and not words and experiment in other:
                    metrics |= {"linear": {"top1": value}, "knn": {"top1": other[experiment][seed]}}
                summary = signed({"scale": "desk", "metrics": metrics})
                file = Path("paper.jsonl")
                records.append(Record(experiment, variant, seed, None, "finished", summary, file))
    return toy, Scan(records, [])


def paper(claim: Mapping[str, Any] | None = None, **changes: Any) -> Paper:
    return make_paper({"c": {**GREATER, **(claim or {})}}, seeds=3, **changes)


def verdict(given: Paper, results: Results) -> Verdict:
    return judge(given, results)[0]


def test_a_finding_whose_direction_persists_is_robust() -> None:
    there = {"": HERE, "engine.epochs=40": {"a_x": [4.0, 4.1], "b_x": [3.9, 3.8]}}
    found = verdict(paper(), tree(there, LONGER))
    assert found.outcome == "reproduced"
    assert found.multiverse.told(found.outcome) == "robust"
    assert described(paper(), found) == "reproduced, untuned, robust"
    (spec,) = found.multiverse.specifications
    assert (spec.name, spec.says, spec.asked, spec.done) == (
        "longer",
        "four times the training",
        4,
        4,
    )
    assert spec.effect is not None
    assert spec.effect.estimate == pytest.approx(0.2)


def test_one_universe_in_which_it_turns_makes_it_fragile() -> None:
    there = {
        "": HERE,
        "engine.epochs=40": {"a_x": [3.0, 3.1], "b_x": [3.9, 3.8]},
        "n=1": {"a_x": [3.0, 3.1], "b_x": [2.9, 2.8]},
    }
    given = paper({"universes": {"n": "n=1", "m": "m=1"}})
    found = verdict(given, tree(there, LONGER))
    assert found.multiverse.told(found.outcome) == "fragile: longer"
    assert tally(given, [found])["desk"] == {
        "finding": {"reproduced": 1},
        "untuned": {"reproduced": 1},
        "fragile": {"reproduced": 1},
    }


@pytest.mark.parametrize("seeds", [0, 1])
def test_while_some_have_not_run_it_is_neither(seeds: int) -> None:
    there = {"": HERE, "engine.epochs=40": {"a_x": [4.0, 4.1], "b_x": [3.9][:seeds]}}
    found = verdict(paper(), tree(there, LONGER))
    assert found.multiverse.told(found.outcome) == "universes: 0 of 1 run"
    assert found.multiverse.robustness(found.outcome) == "not asked"
    assert described(paper(), found) == "reproduced, untuned"


def test_a_verdict_that_is_not_reproduced_is_fragile_where_the_claim_holds() -> None:
    here = {**HERE, "a_x": HERE["b_x"], "b_x": HERE["a_x"]}
    there = {"": here, "engine.epochs=40": {"a_x": [4.0, 4.1], "b_x": [3.9, 3.8]}}
    found = verdict(paper(), tree(there, LONGER))
    assert found.outcome == "not reproduced"
    assert found.multiverse.told(found.outcome) == "fragile: longer"


def test_the_interval_of_an_effect_is_welchs() -> None:
    a, b = [4.0, 4.4], [3.9, 3.2]
    there = {"": HERE, "engine.epochs=40": {"a_x": a, "b_x": b}}
    (spec,) = verdict(paper(), tree(there, LONGER)).multiverse.specifications
    assert spec.effect is not None
    found = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert spec.effect.half_width == pytest.approx((found.high - found.low) / 2)
    assert spec.effect.estimate == pytest.approx(statistics.fmean(a) - statistics.fmean(b))


A, B = {"a_x": [2.0, 2.0, 2.0]}, {"b_x": [3.0, 3.0, 3.0]}
EFFECTS: dict[str, tuple[dict[str, Any], float]] = {
    "greater": ({}, -1.0),
    "less": ({"test": "less"}, 1.0),
    "less, whatever the margin": ({"test": "less", "margin": 0.5}, 1.0),
    "less than a number": ({"test": "less", "cells": ["t.A.x"], "than": 2.5}, 0.5),
    "equal": ({"test": "equal", "tolerance": 0.25}, -0.75),
    "equal, enough": ({"test": "equal", "tolerance": 1.5}, 0.5),
    "rising": ({"test": "monotone"}, 1.0),
    "falling": ({"test": "monotone", "direction": "decreasing"}, -1.0),
    "twice as much": ({"test": "ratio", "at_least": 2}, -1.0),
    "half as much": ({"test": "ratio", "at_most": 0.5}, 1.0),
    "no less than half": ({"test": "ratio", "at_least": 0.5}, 0.5),
    "at most twice": ({"test": "ratio", "at_most": 2}, 4.0),
    "exactly": ({"test": "exact", "cells": ["t.A.x"], "value": 2.5, "precision": 0.1}, -0.25),
    "a bound": ({"test": "exact", "cells": ["t.A.x"], "at_most": 2.5, "precision": 0}, 0.5),
}


@pytest.mark.parametrize("case", EFFECTS)
def test_an_effect_above_zero_is_in_the_direction_claimed(case: str) -> None:
    claim, effect = EFFECTS[case]
    there = {"": HERE, "engine.epochs=40": {**A, **B}}
    (spec,) = verdict(paper(claim), tree(there, LONGER)).multiverse.specifications
    assert spec.effect is not None
    assert spec.effect.estimate == pytest.approx(effect)
    assert spec.effect.holds == (effect > 0)


def test_of_several_columns_the_least_effect_counts() -> None:
    claim = {"cells": ["t.A", "t.B"]}
    here = HERE | {"a_y": HERE["a_x"], "b_y": HERE["b_x"]}
    longer = {"a_x": [5.0, 5.0], "b_x": [1.0, 1.0], "a_y": [1.0, 1.0], "b_y": [1.5, 1.5]}
    found = verdict(paper(claim), tree({"": here, "engine.epochs=40": longer}, LONGER))
    (spec,) = found.multiverse.specifications
    assert spec.effect is not None
    assert (spec.effect.estimate, spec.effect.place) == (-0.5, "A, y, B, y")


def test_another_metric_of_the_same_runs_takes_none() -> None:
    worse = {"a_x": [1.0, 1.1, 1.2], "b_x": [2.0, 2.1, 2.2]}
    found = verdict(paper(metric="linear/top1"), tree({"": HERE}, other=worse))
    (spec,) = found.multiverse.specifications
    assert (spec.name, spec.says, spec.asked) == ("metric", "by knn/top1", 6)
    assert found.multiverse.told(found.outcome) == "fragile: metric"


def test_the_arm_of_fewer_passes_is_trained_for_as_many() -> None:
    given = paper()

    class TwoViews(Toy):
        def facts(self, overrides: Sequence[str]) -> Facts:
            views = 2 if "a_x" in overrides[0] else 1
            return Facts({}, {"engine.epochs": 10}, 10.0 * views, "d")

    results = Results(TwoViews(Facts()), Scan([], []))
    (universe,) = universes(given, "c", plan(given, "c"), results)
    words = [cell.overrides for group in universe.groups for cell in group]
    assert words == [("experiment=a_x",), ("experiment=b_x", "engine.epochs=20")]
    own = paper(cell="experiment=${row}_${column} engine.epochs=10")
    assert not universes(own, "c", plan(own, "c"), results)


def test_a_universes_word_takes_the_place_of_the_cells_own() -> None:
    given = paper({"universes": {"n": "k=2"}}, cell="experiment=${row}_${column} k=1")
    (universe,) = universes(given, "c", plan(given, "c"), tree({}))
    assert universe.groups[0][0].overrides == ("experiment=a_x", "k=2")
    assert universe.groups[0][0].place == "t.A.x in universe n"


def test_defaults_are_of_findings_at_desk_scale_and_can_be_switched_off() -> None:
    results = tree({"": HERE}, {**LONGER, "draw": "dataset.split_seed=1"})

    def asked(given: Paper) -> list[str]:
        return [u.name for u in universes(given, "c", plan(given, "c"), results)]

    assert asked(paper()) == ["longer", "draw"]
    assert asked(paper({"universes": {"longer": "not: slow"}})) == ["draw"]
    assert asked(paper(universes=["longer"])) == ["longer"]
    assert asked(paper({"kind": "identity"})) == []
    assert asked(paper({"kind": "against"})) == []
    assert asked(paper({"universes": "not: one point"})) == []
    assert asked(paper({"cells": ["p.A.x", "p.B.x"]})) == []
    assert asked(paper({"test": "matches", "cells": ["t.A.x"], "tolerance": 1})) == []


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no number changes": ({"n": "the.same=1"}, "the.same=1: is so in each cell already"),
    "no such field": ({"n": "absent=1"}, "tables.t.A.x in universe n: absent: no such key"),
    "seeds that are none": ({"n": "seed=1,x"}, "seed=1,x: whole numbers from 0 on"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_that_asks_nothing_is_refused_in_a_line(case: str) -> None:
    named, says = REFUSED[case]
    given = paper({"universes": named})
    with pytest.raises(BadRequest) as caught:
        filled(given, tree({"": HERE}))
    assert str(caught.value).startswith("claims.c.universes.n: " + says)
    found = verdict(given, tree({"": HERE}))
    assert found.outcome == "reproduced"
    assert found.multiverse.problem == str(caught.value)


def test_another_metric_of_a_claim_of_size_is_refused() -> None:
    claim = {"cells": ["t.A.x"], "than": 1.0, "universes": {"n": "metric=linear/top1"}}
    with pytest.raises(BadRequest, match="the claim is of a size"):
        filled(paper(claim), tree({"": HERE}))


def test_what_measures_the_very_same_is_no_universe() -> None:
    same = {name: values[:2] for name, values in HERE.items()}
    found = verdict(paper(), tree({"": HERE, "engine.epochs=40": same}, LONGER))
    (spec,) = found.multiverse.specifications
    assert spec.same
    assert found.multiverse.told(found.outcome) == ""
    assert found.multiverse.robustness(found.outcome) == "not asked"


def test_seeds_of_its_own_are_those_that_count() -> None:
    here = {"a_x": [5.0, 2.0, 2.0], "b_x": [3.0, 3.0, 3.0]}
    given = make_paper({"c": {**GREATER, "universes": {"n": "seed=1,2"}}}, seeds=1)
    (spec,) = judge(given, tree({"": here}))[0].multiverse.specifications
    assert spec.effect is not None
    assert spec.effect.estimate == -1.0


def test_its_runs_are_cells_like_others() -> None:
    given = paper()
    there = {"": HERE, "engine.epochs=40": {"a_x": [4.0]}}
    found = filled(given, tree(there, LONGER))
    assert [(f.experiment, f.missing_seeds) for f in found] == [("a_x", [1]), ("b_x", [0, 1])]
    assert filled(paper(universe_seeds=1), tree(there, LONGER))[0].missing_seeds == []


RUN = {"a_x": [4.0, 4.1], "b_x": [3.9, 3.8]}
VERIFIED: dict[str, tuple[dict[str, dict[str, list[float]]], list[str]]] = {
    "whole": ({"engine.epochs=40": RUN, "n=1": RUN}, []),
    "not begun": ({}, []),
    "a seed dropped": (
        {"engine.epochs=40": {**RUN, "a_x": [4.0]}, "n=1": RUN},
        ["t.A.x in universe longer: the table says 2 seeds; without a record: 1"],
    ),
    "a universe dropped": (
        {"n=1": {"a_x": [4.0, 4.1], "b_x": [3.9, 3.8]}},
        [f"t.{row}.x in universe longer: the table says 2 seeds; without a record: 0, 1"
         for row in "AB"],
    ),
    "one that none asks for": (
        {"engine.epochs=40": RUN, "n=1": RUN, "n=2": {"a_x": [1.0]}},
        ["published, but no cell asks for it (paper.jsonl)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", VERIFIED)
def test_verify_misses_what_is_dropped_and_names_what_is_too_much(case: str) -> None:
    there, says = VERIFIED[case]
    given = paper({"universes": {"n": "n=1"}})
    here = {name: HERE[name] for name in ("a_x", "b_x")}
    toy, scan = runs({"": here, **there}, LONGER)
    off = check(given, Path("paper.yaml"), scan, toy).off
    found = [line for line in off if "universe" in line or "no cell asks" in line]
    assert len(found) == len(says)
    assert all(line.endswith(said) for line, said in zip(found, says, strict=True))


def test_the_curve_is_sorted_and_says_what_was_not_asked(tmp_path: Path) -> None:
    there = {
        "": HERE,
        "engine.epochs=40": {"a_x": [3.0, 3.1], "b_x": [3.9, 3.8]},
        "n=1": {"a_x": [9.0, 9.1], "b_x": [2.9, 2.8]},
    }
    claim = {"universes": {"n": "n=1", "m": "m=1", "draw": "not: nothing is drawn"}}
    given = paper(claim, unit="%")
    drawn = curve(given, verdict(given, tree({w: _percent(f) for w, f in there.items()}, LONGER)))
    assert drawn is not None
    assert [spec.name for spec in drawn.specs] == ["longer", "the table itself", "n"]
    text = list(lines(drawn))
    assert text[0] == "c: fragile: longer"
    assert text[2].split()[:2] == ["longer", "-0.8"]
    assert text[-2:] == ["  not run: m (0 of 4 runs)", "  not asked: draw: nothing is drawn"]
    for file in (tmp_path / "a.svg", tmp_path / "b.svg"):
        save(drawn, file)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "fragile: longer" in (tmp_path / "a.svg").read_text("utf-8")


def _percent(found: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: [value / 100 for value in values] for name, values in found.items()}


def test_each_finding_at_desk_scale_has_a_universe_or_says_why_not() -> None:
    results = Results(cache.Variants(composed), Scan([], []))
    bare = []
    for path in find_all(folders()).values():
        if not reference(path).has_tables:
            continue
        given = read(path)
        for name, groups in plans(given).items():
            claim, table = given.claims[name], groups[0][0].table
            if claim.kind == "finding" and table.scale == "desk" and claim.test != "matches":
                why = claim.universes.with_those_of(table.universes).none
                if not why and not universes(given, name, groups, results):
                    bare.append(f"{path.stem}: {name}")
    assert not bare


def test_effects_that_are_all_nothing_lie_in_the_middle_of_their_curve() -> None:

    nothing = Effect(0.0, None, holds=True, place="t.A", seeds=1)
    curve = Curve("c", "says", "robust", "", 1, [Spec("wider", "", nothing, own=False)], [], [])
    assert curve.at(0.0) == 0.5
