"""What a claim is, finding or identity or against, and that no sentence of a paper is lost."""

from pathlib import Path
from typing import Any

import pytest

from ppr.errors import BadRequest
from ppr.papers.files import find_all, read
from ppr.papers.kinds import described, findings, sentences, summary, tally
from ppr.papers.schema import Paper, parse
from ppr.papers.verdict import Outcome, Verdict

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
    table = make_paper({}, tables={"t": {**TABLE, "settings": "tuned by hand"}}).tables["t"]
    assert [table.settings_of(row, "x") for row in table.rows] == [
        "tuned by hand",
        "tuned by hand",
        "untuned",
    ]


def verdict(claim: str, outcome: Outcome, scale: str = "desk") -> Verdict:
    return Verdict(claim, "s", "greater", scale, "t", outcome, "")


def test_an_identity_is_never_counted_among_findings() -> None:
    check = {**CLAIM, "kind": "identity"}
    paper = make_paper({}, claims={"a": CLAIM, "b": CLAIM, "check": check, "bug": check})
    found: list[Verdict] = [verdict("a", "reproduced"), verdict("b", "inconclusive")]
    found += [verdict("check", "reproduced"), verdict("bug", "not reproduced")]
    counts = tally(paper, found)["desk"]
    assert counts["finding"] == {"reproduced": 1, "inconclusive": 1}
    assert findings(counts) == "1 reproduced (1 untuned), 1 inconclusive (1 untuned)"
    assert summary(counts) == (
        f"findings: {findings(counts)}; of those reproduced: 1 not asked; "
        "checks of the code passed: 1 of 2"
    )
    assert described(paper, found[3]) == "check failed"


def test_what_contradicts_the_paper_is_no_reproduction() -> None:
    paper = make_paper({"kind": "against"})
    counts = tally(paper, [verdict("c", "reproduced")])["desk"]
    assert findings(counts) == ""
    assert summary(counts) == "the paper contradicted: 1 of 1"
    assert described(paper, verdict("c", "reproduced")) == "contradicted"


@pytest.mark.parametrize(
    ("settings", "cells", "untuned"),
    [
        ("untuned", ["t.A", "t.B"], True),
        ("tuned by hand", ["t.A", "t.B"], False),
        ("tuned by hand", ["t.A", "t.Left out"], True),
        ("paper", ["t.A", "t.B"], False),
        ("none", ["t.A", "t.B"], False),
    ],
)
def test_a_finding_over_rows_not_tuned_says_so(
    settings: str, cells: list[str], untuned: bool
) -> None:
    tables = {"t": {**TABLE, "settings": settings}}
    paper = make_paper({"cells": cells}, tables=tables)
    assert described(paper, verdict("c", "reproduced")).endswith(", untuned") == untuned
    check = make_paper({"cells": cells, "kind": "identity"}, tables=tables)
    assert described(check, verdict("c", "reproduced")) == "check passed"


def test_each_sentence_is_shown_with_its_claims_or_the_reason() -> None:
    paper = make_paper({"words": [0]}, untested={1: "no data"})
    assert sentences(paper) == ["first (tested by `c`)", "second (not tested: no data)"]
