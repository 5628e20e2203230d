"""What a claim is, finding or identity or against, and that no sentence of a paper is lost."""

from pathlib import Path
from typing import Any

import pytest

from ppr.errors import BadRequest
from ppr.papers.files import find_all, read
from ppr.papers.schema import Paper, parse

SHIPPED = {
    slug: path
    for slug, path in find_all([Path(__file__).parents[2] / "configs" / "paper"]).items()
    if "\ntables:" in path.read_text("utf-8")
}

TABLE = {
    "title": "t",
    "scale": "desk",
    "metric": "probe/top1",
    "rows": {"A": "a", "B": "b", "Left out": {"value": "c", "settings": "untuned"}},
    "columns": {"x": "x"},
    "cell": "experiment=${row}_${column}",
}
CLAIM = {"says": "s", "kind": "finding", "test": "greater", "cells": ["t.A", "t.B"]}


def make_paper(claim: dict[str, Any], **changes: Any) -> Paper:
    document = {
        "title": "T",
        "year": 2020,
        "family": "f",
        "claims_in_words": ["first", "second"],
        "tables": {"t": TABLE},
        "claims": {"c": {**CLAIM, **claim}},
    }
    return parse({**document, **changes}, "paper", "paper.yaml")


@pytest.mark.parametrize("slug", SHIPPED)
def test_each_sentence_of_a_paper_has_a_claim_or_a_reason(slug: str) -> None:
    paper = read(SHIPPED[slug])
    tested = {number for claim in paper.claims.values() for number in claim.words}
    assert tested | set(paper.untested) == set(range(len(paper.claims_in_words)))
    assert all(reason.strip() for reason in paper.untested.values())


@pytest.mark.parametrize("slug", SHIPPED)
def test_each_table_says_where_its_settings_are_from(slug: str) -> None:
    tables = read(SHIPPED[slug]).tables.values()
    assert all("settings" in table.model_fields_set for table in tables)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no kind": ({"kind": None}, {}, "paper.yaml: claims.c.kind=None: allowed: against, finding"),
    "a misspelt kind": ({"kind": "findings"}, {}, "claims.c.kind='findings': did you mean 'find"),
    "an identity as a finding": ({"kind": "identity", "words": [0]}, {}, "claims.c: an identity"),
    "a sentence too many": ({"words": [2]}, {}, "claims.c.words: no sentence 2; of claims_in_wo"),
    "a negative one": ({"words": [-1]}, {}, "claims.c.words.0=-1: "),
    "untested, which is not there": ({}, {"untested": {7: "why"}}, "untested: no sentence 7; "),
    "unknown settings": ({}, {"tables": {"t": {**TABLE, "settings": "good"}}}, "tables.t.settings"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    claim, changes, said = REFUSED[name]
    with pytest.raises(BadRequest) as error:
        make_paper(claim, **changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_row_left_out_of_the_tuning_says_so_of_its_cells() -> None:
    table = make_paper({}, tables={"t": {**TABLE, "settings": "tuned"}}).tables["t"]
    assert [table.settings_of(row, "x") for row in table.rows] == ["tuned", "tuned", "untuned"]
