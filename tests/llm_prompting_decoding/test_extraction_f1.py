"""Extracted values: counts against hand-written cases, micro scores against scikit-learn's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from ppr.data.published.product_attributes import ProductAttributes
from ppr.studies.llm_prompting_decoding.extraction_f1 import (
    Counts,
    ExtractionF1,
    answered,
    judge,
    known_values,
    look_up,
    scores,
)

CASES: list[tuple[list[str], Any, str]] = [
    (["Red"], "Red", "vc"),
    ([" Red "], "Red", "vc"),
    (["Red", "Crimson"], "Crimson", "vc"),
    (["Red"], "red", "vw"),
    (["Red"], ["Red"], "vw"),
    (["Red"], "n/a", "vn"),
    (["Red"], "None", "vn"),
    (["Red"], None, "vn"),
    (["n/a"], "n/a", "nn"),
    (["n/a"], "Red", "nv"),
]


@pytest.mark.parametrize(("values", "answer", "kind"), CASES)
def test_an_answer_is_judged(values: list[str], answer: Any, kind: str) -> None:
    assert judge({"Color": values}, {"Color": answer}) == Counts(**{kind: 1})


def test_attributes_that_are_not_annotated_do_not_count() -> None:
    assert judge({"Color": ["Red"]}, {"Color": "Red", "Size": "7"}) == Counts(vc=1)
    assert judge({"Color": ["Red"]}, {}) == Counts(vn=1)


@pytest.mark.parametrize("text", ["", None, "no", '"Red"', "[1]", '{"Color": '])
def test_what_is_no_object_answers_nothing(text: str | None) -> None:
    assert answered(text) == {}


def test_micro_scores_are_scikit_learns() -> None:
    """Each attribute as a multi-class sample, of which "n/a" is the class left out."""
    random = np.random.default_rng(0)
    truth, answers = random.choice(["n/a", "a", "b", "c"], (2, 200))
    counts = [judge({"x": [t]}, {"x": a}) for t, a in zip(truth, answers, strict=True)]
    expected = precision_recall_fscore_support(
        truth, answers, labels=["a", "b", "c"], average="micro"
    )
    assert scores(np.array(counts).sum(0)) == pytest.approx(expected[:3])
    assert scores(np.zeros(5, dtype=np.int64)).tolist() == [0, 0, 0]


def test_the_lookup_takes_the_first_known_value_in_the_title() -> None:
    offers = {
        "category": ["A", "B", "A"],
        "target_scores": ['{"Color": {"Blue": 1}}', '{"Color": {"Red": 1}}',
                          '{"Color": {"Red": 1}, "Size": {"n/a": 1}}'],
    }  # fmt: skip
    known = known_values(offers)
    assert known == {"A": {"Color": ["Blue", "Red"], "Size": []}, "B": {"Color": ["Red"]}}
    assert look_up("a Red and Blue hat", known["A"]) == {"Color": "Blue"}
    assert look_up("a hat", known["A"]) == {}


@pytest.mark.parametrize("system", ["gpt4", "gpt4_ensemble", "gpt35", "lookup"])
def test_the_study_scores_made_up_runs(system: Any) -> None:
    bench: Any = SimpleNamespace(dataset=ProductAttributes().synthetic(4), seed=0)
    found = ExtractionF1(bench, system=system, draws=50).measure()
    assert found["micro"]["f1"] == pytest.approx(1.0 if system == "lookup" else 0.75)
    assert found["test"] == {"offers": 4.0, "pairs": 10.0, "values": 6.0}
    assert found["interval"]["low"] <= found["micro"]["f1"] <= found["interval"]["high"]
    assert found.get("printed", {"f1": 0.75}) == {"f1": 0.75}
