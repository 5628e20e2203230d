"""What a paper's file may say of a claim: its kind, its cells and its test.

Margins and tolerances are in the unit of the table they speak of.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ppr.papers.part import Part
from ppr.papers.universe_schema import Universes

Kind = Literal["finding", "against", "identity"]
KINDS: tuple[Kind, ...] = ("finding", "against", "identity")
TESTS = ("greater", "less", "equal", "matches", "monotone", "exact", "ratio")


class _Claim(Part):
    """`kind`: a `finding` is a sentence that could come out otherwise with the code right; an
    `identity` only a bug could break (a formula against itself, arithmetic, a definition, trained
    against untrained); one `against` contradicts the paper or its released code.

    `words`: which of the paper's `claims_in_words` it tests, counted from 0. `universes`: those
    under which its direction must persist, beside its table's.
    """

    says: str
    kind: Kind
    words: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    cells: list[str] = Field(min_length=1)
    metric: str | None = None
    universes: Universes = Universes()

    @model_validator(mode="after")
    def _an_identity_has_no_universe(self) -> _Claim:
        if self.kind == "identity" and "universes" in self.model_fields_set:
            raise ValueError(
                "an identity holds in every universe, or is a bug: no `universes`, or kind: finding"
            )
        return self

    @model_validator(mode="after")
    def _an_identity_tests_no_words(self) -> _Claim:
        if self.kind == "identity" and self.words:
            raise ValueError(
                "an identity is a check of the code and tests none of the paper's sentences: "
                "no `words`, or kind: finding"
            )
        return self


class Difference(_Claim):
    """`greater`, `less`: the first cell against the second, or against the number `than`.

    `margin`: by how much at least, as the paper says. `negligible`: a difference below this counts
    as none, though the paper names no margin; the larger of the two is what is asked.
    """

    test: Literal["greater", "less"]
    cells: list[str] = Field(min_length=1, max_length=2)
    than: float | None = None
    margin: float = Field(default=0.0, ge=0)
    negligible: float = Field(default=0.0, ge=0)
    paired: bool = False

    @model_validator(mode="after")
    def _one_opponent(self) -> Difference:
        if (len(self.cells) == 2) == (self.than is not None):
            raise ValueError("two cells, or one cell and `than`")
        if self.paired and self.than is not None:
            raise ValueError("`paired` needs two cells")
        return self


class Equal(_Claim):
    """Two cells differ by less than `tolerance`: shown, not merely not refuted."""

    test: Literal["equal"]
    cells: list[str] = Field(min_length=2, max_length=2)
    tolerance: float = Field(gt=0)
    paired: bool = False


class Matches(_Claim):
    """Each cell lies as near its reported value as that was read (half a unit of its last digit, or
    what a figure allows), plus the half-width of the reported interval, plus `tolerance`.
    """

    test: Literal["matches"]
    tolerance: float = Field(default=0.0, gt=0)


class Monotone(_Claim):
    """Along one row's columns, or along the cells in the order given."""

    test: Literal["monotone"]
    direction: Literal["increasing", "decreasing"] = "increasing"
    negligible: float = Field(default=0.0, ge=0)


class Exact(_Claim):
    """Every run's value is `value`, or the second cell's of its seed, to a relative precision.

    With `at_least` or `at_most` it lies, to that precision, on one side of a bound.
    """

    test: Literal["exact"]
    value: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    precision: float = Field(ge=0)

    @property
    def bound(self) -> float | None:
        return self.at_least if self.at_least is not None else self.at_most

    @model_validator(mode="after")
    def _one_truth(self) -> Exact:
        given = [v for v in (self.value, self.at_least, self.at_most) if v is not None]
        if len(given) > 1:
            raise ValueError("one of `value`, `at_least` and `at_most`")
        if not given and len(self.cells) != 2:
            raise ValueError("two cells, or `value`, `at_least` or `at_most`")
        if self.precision == 0 and self.bound is None:
            raise ValueError("`precision` above 0, but for `at_least` and `at_most`")
        return self


class Ratio(_Claim):
    """The first cell's mean is at least (or at most) so many times the second's."""

    test: Literal["ratio"]
    cells: list[str] = Field(min_length=2, max_length=2)
    at_least: float | None = Field(default=None, gt=0)
    at_most: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_bound(self) -> Ratio:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("either `at_least` or `at_most`")
        return self


Claim = Annotated[
    Difference | Equal | Matches | Monotone | Exact | Ratio, Field(discriminator="test")
]
