"""What a paper's file may say: its reference, its tables and claims (see the files beside)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from ppr.errors import BadRequest, choices
from ppr.papers.claim_schema import (
    KINDS,
    TESTS,
    Claim,
    Difference,
    Equal,
    Exact,
    Matches,
    Monotone,
    Ratio,
)
from ppr.papers.part import Part
from ppr.papers.reported import Later, Value
from ppr.papers.table_schema import Entry, Table, table_problems
from ppr.papers.tune_schema import RowTune, Tune


class Findings(Part):
    """What a trial of the check has shown of it, before it became a table: no evidence."""

    outcome: str
    setup: str = ""
    correction: str = ""
    advice: str = ""
    source: str = ""


class Paper(Part):
    """One publication. `known_from` says whether `method` rests on formulas or on the abstract.

    `about` is what the paper is about, in one sentence for who has not read it. `untested`: of its
    `claims_in_words`, counted from 0, what no claim tests, and why.
    """

    slug: str
    title: str
    year: int = Field(ge=1900, le=2100)
    family: str
    kind: str = ""
    url: str | None = None
    code: str | None = None
    size: Literal["S", "M", "L", "XL"] | None = None
    known_from: Literal["formulas", "abstract"] | None = None
    about: str = ""
    method: str = ""
    second_reading: str = ""
    baseline: str = ""
    claims_in_words: list[str] = Field(default_factory=list)
    untested: dict[int, str] = Field(default_factory=dict)
    check: str = ""
    findings: Findings | None = None
    paper_scale: str = ""
    machinery: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    tables: dict[str, Table] = Field(default_factory=dict)
    claims: dict[str, Claim] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _claims_name_a_test(cls, given: Any) -> Any:
        """Pydantic's own words for a missing or misspelt discriminator are hard to read."""
        claims = given.get("claims") if isinstance(given, Mapping) else None
        if claims is not None and not isinstance(claims, Mapping):
            raise BadRequest(f"claims={claims!r}: must be a mapping, a claim a key")
        for name, claim in (claims or {}).items():
            test = claim.get("test") if isinstance(claim, Mapping) else None
            if test not in TESTS:
                raise BadRequest(f"claims.{name}.test={test!r}: {choices(str(test), TESTS)}")
            kind = claim.get("kind")
            if kind not in KINDS:
                raise BadRequest(f"claims.{name}.kind={kind!r}: {choices(str(kind), KINDS)}")
        return given


def parse(document: Any, slug: str, where: str) -> Paper:
    """Check a paper's file and all that its tables and claims name within it.

    Raises:
        BadRequest: one line, with the file, the key, and what was probably meant.
    """
    if not isinstance(document, Mapping):
        raise BadRequest(f"{where}: must be a mapping of keys; {choices('', Paper.model_fields)}")
    try:
        paper = Paper.model_validate({**document, "slug": slug})
    except ValidationError as error:
        raise BadRequest(f"{where}: {_first(error)}") from None
    except BadRequest as error:
        raise BadRequest(f"{where}: {error}") from None
    for problem in _problems(paper):
        raise BadRequest(f"{where}: {problem}")
    return paper


def _first(error: ValidationError) -> str:
    """The first complaint; a key that does not exist is answered with the one probably meant."""
    # A key that is missing has mostly been misspelt, so the misspelt one is the better complaint.
    items = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    item = items[0]
    # A union's branch is part of pydantic's path, and nothing that the file says.
    path = [str(part) for part in item["loc"] if part not in (*TESTS, "values")]
    name = ".".join(path)
    if item["type"] == "missing":
        return f"{name}: missing"
    if item["type"] == "extra_forbidden":
        return f"{name}: no such key; {choices(path[-1], _keys_at(item['loc']))}"
    said = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    shown = "" if isinstance(item["input"], Mapping | list) else f"={item['input']!r}"
    return f"{name}{shown}: {said}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        "tables": Table, "rows": Entry, "columns": Entry, "reported": Value, "later": Later,
        "findings": Findings, "tune": Tune,
        "greater": Difference, "less": Difference, "equal": Equal, "matches": Matches,
        "monotone": Monotone, "exact": Exact, "ratio": Ratio,
    }  # fmt: skip
    owners = [parts[str(part)] for part in location[:-1] if str(part) in parts]
    if owners[-1:] == [Entry] and Tune in owners:
        owners.append(RowTune)
    return list((owners[-1] if owners else Paper).model_fields)


def _problems(paper: Paper) -> Iterator[str]:
    for name, table in paper.tables.items():
        yield from table_problems(f"tables.{name}", table)
    if paper.claims and not paper.tables:
        yield "claims: there are no tables that they could speak of; use claims_in_words"
    yield from _words_problems(paper)


def _words_problems(paper: Paper) -> Iterator[str]:
    """Numbers that are none of a sentence of the paper's."""
    known = range(len(paper.claims_in_words))
    named = [(f"claims.{name}.words", n) for name, c in paper.claims.items() for n in c.words]
    for where, number in [*named, *(("untested", number) for number in paper.untested)]:
        if number not in known:
            there = f"0 to {known[-1]}" if known else "none"
            yield f"{where}: no sentence {number}; of claims_in_words there is {there}"
