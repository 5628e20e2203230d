"""What a paper's file may say of universes, and what it is refused for, in a line each."""

from typing import Any

import pytest
from claims_toy import GREATER, make_paper

from ppr.errors import BadRequest


def universes(given: Any, table: Any = None) -> Any:
    changes = {} if table is None else {"universes": table}
    paper = make_paper({"c": {**GREATER, "universes": given}}, **changes)
    return paper.claims["c"].universes.with_those_of(paper.tables["t"].universes)


def test_names_words_and_reasons_are_told_apart() -> None:
    found = universes({"MNIST": "dataset=mnist", "longer": "not: an hour a run"})
    assert found.named == {"MNIST": "dataset=mnist"}
    assert found.off == {"longer": "an hour a run"}
    assert found.only is None
    assert not found.none


def test_a_claim_adds_to_its_table_and_outranks_it() -> None:
    found = universes({"n": "a.b=2"}, {"n": "a.b=1", "m": "a.b=3", "draw": "not: it is fixed"})
    assert found.named == {"n": "a.b=2", "m": "a.b=3"}
    assert found.off == {"draw": "it is fixed"}


def test_a_list_is_of_the_defaults_that_are_taken() -> None:
    assert universes({}, ["draw", "metric"]).only == ("draw", "metric")
    assert universes(["longer"], ["draw", "metric"]).only == ("longer",)


def test_a_claim_may_have_none_and_says_why() -> None:
    assert universes("not: the bound is of this point").none == "the bound is of this point"


REFUSED = {
    "a misspelt default": ({"longr": "not: slow"}, "did you mean 'longer'"),
    "a misspelt default in a list": (["draws"], "did you mean 'draw'"),
    "no reason": ({"longer": "not: "}, "words, or `not: ` and why"),
    "no words": ({"n": " "}, "n: no words, so it changes nothing"),
    "no override": ({"n": "mnist"}, "'mnist' is no KEY=VALUE"),
    "an open quote": ({"n": "a='b"}, "no closing quotation"),
    "a number": ({"n": 3}, "n=3: words as on the command line, or `not: why`"),
    "a default's name": ({"draw": "dataset.split_seed=4"}, "draw: is a default's name"),
    "words as a whole": ("dataset=mnist", "words, or `not: ` and why"),
    "the same twice": ({"n": "a=1 b=2", "m": "b=2 a=1"}, "m: the same overrides as n"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_a_line(case: str) -> None:
    given, says = REFUSED[case]
    with pytest.raises(BadRequest) as caught:
        universes(given)
    assert says in str(caught.value)
    assert str(caught.value).startswith("paper.yaml: claims.c.universes")
    assert "\n" not in str(caught.value)


def test_an_identity_has_none() -> None:
    with pytest.raises(BadRequest, match="an identity holds in every universe"):
        make_paper({"c": {**GREATER, "kind": "identity", "universes": {"n": "a=1"}}})
