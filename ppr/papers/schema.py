"""What a paper's file may say: its reference, its tables with reported values, its claims.

Values are written as the paper prints them, in the table's `unit`; metrics in the results tree are
fractions of 1, so a table in "%" shows them times 100. Margins and tolerances of claims are in the
unit of the table they speak of.
"""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Iterator, Mapping
from string import Template
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppr.errors import BadRequest, choices
from ppr.results.metrics import lower_is_better

SCALES = ("desk", "paper")
Scale = Literal["desk", "paper"]
Settings = Literal["paper", "tuned", "untuned", "none"]
Kind = Literal["finding", "against", "identity"]
KINDS: tuple[Kind, ...] = ("finding", "against", "identity")
TESTS = ("greater", "less", "equal", "matches", "monotone", "exact", "ratio")


Best = Literal["max", "min", "none"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Entry(_Part):
    """A row or a column: what stands for it in `cell`, and its metric where it has its own.

    `${metric}` in a row's metric is the metric of the column or table: `untrained/${metric}`.
    `settings`, where they are not the table's: of a row that was left out of the tuning.
    """

    value: str = ""
    metric: str | None = None
    best: Best | None = None
    settings: Settings | None = None


class Value(_Part):
    """A reported value, with the half-width of its 95 % interval where the paper gives one."""

    value: float
    half_width: float = Field(default=0.0, ge=0)


class Reported(_Part):
    """What a paper prints, and where that was read. Keys beside these are the table's rows."""

    source: str = Field(min_length=1)
    selection: Literal["last epoch", "best validation epoch", "best test epoch"] | None = None
    protocol: str | None = None
    values: dict[str, dict[str, Value]] = {}

    @model_validator(mode="before")
    @classmethod
    def _rows_beside_the_source(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        own = {key: given[key] for key in cls.model_fields.keys() - {"values"} if key in given}
        rows = {key: row for key, row in given.items() if key not in own}
        return {**own, "values": {str(name): _values(row) for name, row in rows.items()}}


def _values(row: Any) -> Any:
    if not isinstance(row, Mapping):
        return row
    return {
        str(column): {"value": value} if isinstance(value, int | float) else value
        for column, value in row.items()
    }


class Table(_Part):
    """Rows × columns of cells; `cell` spells the overrides of one, with `${row}`, `${column}`.

    `axis` says that the columns are numbers, and of what, so that the table is drawn as well;
    `quantity` then says what its other axis measures, and in what. `seeds` is a plan: that many
    count, from 0 on, and no others. `looks` says at which numbers of seeds claims are judged;
    `seeds` is then the first of them unless the file says more.

    `settings` says where learning rates and lengths are from: `paper`, the paper's own; `tuned`,
    of a grid for every row that the notes state, chosen on validation; `untuned`, neither; `none`,
    nothing is trained.
    """

    title: str
    scale: Scale
    metric: str
    unit: str = ""
    best: Best | None = None
    decimals: int | None = Field(default=None, ge=0, le=12)
    axis: str | None = None
    quantity: str | None = None
    rows: dict[str, Entry]
    columns: dict[str, Entry]
    cell: str
    seeds: int = Field(default=5, ge=1, le=10_000)
    looks: tuple[Annotated[int, Field(ge=2, le=10_000)], ...] = ()
    settings: Settings = "untuned"
    protocol: dict[str, str | int | float | bool] = {}
    cost: str | None = None
    reported: Reported | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_entries(cls, given: Any) -> Any:
        """`SupCon: supcon` is short for `SupCon: {value: supcon}`."""
        if not isinstance(given, Mapping):
            return given
        axes = {
            axis: {
                str(name): entry if isinstance(entry, Mapping) else {"value": str(entry)}
                for name, entry in given[axis].items()
            }
            for axis in ("rows", "columns")
            if isinstance(given.get(axis), Mapping)
        }
        looks = given.get("looks")
        first = {"seeds": looks[0]} if isinstance(looks, list) and looks else {}
        return {**first, **given, **axes}

    @model_validator(mode="after")
    def _two_axes(self) -> Table:
        if (self.axis is None) != (self.quantity is None):
            raise ValueError("`axis` and `quantity`, what a plot's two axes say, go together")
        return self

    @model_validator(mode="after")
    def _looks_go_forward(self) -> Table:
        for before, after in itertools.pairwise(self.looks):
            if after <= before:
                raise ValueError(f"`looks`: {after} after {before}; each takes more seeds")
        if self.looks and self.seeds not in self.looks:
            known = ", ".join(map(str, self.looks))
            raise ValueError(f"`seeds`: {self.seeds} is none of the looks: {known}")
        return self

    @property
    def plan(self) -> tuple[int, ...]:
        """The numbers of seeds at which its claims are judged."""
        return self.looks or (self.seeds,)

    def look(self, number: int) -> int:
        """The seeds of a look, from 0; of the last, where another table has more."""
        return self.plan[min(number, len(self.plan) - 1)]

    @property
    def factor(self) -> float:
        """What a stored metric is multiplied by to be shown."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def places(self) -> int:
        if self.decimals is not None:
            return self.decimals
        return 1 if self.unit == "%" else 3

    def overrides(self, row: str, column: str) -> str:
        return Template(self.cell).substitute(
            row=self.rows[row].value, column=self.columns[column].value
        )

    def best_of(self, row: str, column: str) -> tuple[Best, str]:
        """What is best of a cell's column, and what its rivals have in common with it.

        As the row, the column or the table says, and then all rows of the column are rivals; else
        as the metric is read, among the rows of that metric.
        """
        if stated := self.rows[row].best or self.columns[column].best or self.best:
            return stated, ""
        metric = self.metric_of(row, column)
        return ("min" if lower_is_better(metric) else "max"), metric.rpartition("/")[2]

    def settings_of(self, row: str, column: str) -> Settings:
        """A cell's: what its row or its column says of itself, untuned if either is."""
        own = [e.settings for e in (self.rows[row], self.columns[column]) if e.settings]
        return "untuned" if "untuned" in own else next(iter(own), self.settings)

    def metric_of(self, row: str, column: str) -> str:
        base = self.columns[column].metric or self.metric
        return Template(self.rows[row].metric or base).substitute(metric=base)


class _Claim(_Part):
    """`kind`: a `finding` is a sentence that could come out otherwise with the code right; an
    `identity` only a bug could break (a formula against itself, arithmetic, a definition, trained
    against untrained); one `against` contradicts the paper or its released code.

    `words`: which of the paper's `claims_in_words` it tests, counted from 0.
    """

    says: str
    kind: Kind
    words: list[Annotated[int, Field(ge=0)]] = []
    cells: list[str] = Field(min_length=1)
    metric: str | None = None

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
    """Each cell lies within `tolerance`, plus the reported half-width, of its reported value."""

    test: Literal["matches"]
    tolerance: float = Field(gt=0)


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


class Findings(_Part):
    """What a trial of the check has shown of it, before it became a table: no evidence."""

    outcome: str
    setup: str = ""
    correction: str = ""
    advice: str = ""
    source: str = ""


class Paper(_Part):
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
    claims_in_words: list[str] = []
    untested: dict[int, str] = {}
    check: str = ""
    findings: Findings | None = None
    paper_scale: str = ""
    machinery: list[str] = []
    notes: list[str] = []
    tables: dict[str, Table] = {}
    claims: dict[str, Claim] = {}

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
    path = [str(part) for part in item["loc"] if part not in TESTS]
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
        "tables": Table, "rows": Entry, "columns": Entry, "reported": Value, "findings": Findings,
        "greater": Difference, "less": Difference, "equal": Equal, "matches": Matches,
        "monotone": Monotone, "exact": Exact, "ratio": Ratio,
    }  # fmt: skip
    owners = [parts[str(part)] for part in location[:-1] if str(part) in parts]
    return list((owners[-1] if owners else Paper).model_fields)


def _problems(paper: Paper) -> Iterator[str]:
    for name, table in paper.tables.items():
        yield from _table_problems(f"tables.{name}", table)
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


def _quote_problems(where: str, cell: str) -> Iterator[str]:
    try:
        shlex.split(cell)
    except ValueError as error:
        yield f"{where}.cell={cell!r}: {str(error).lower()}"


def _table_problems(where: str, table: Table) -> Iterator[str]:
    for axis in ("rows", "columns"):
        if not getattr(table, axis):
            yield f"{where}.{axis}: there must be at least one"
    for column, entry in table.columns.items() if table.axis is not None else ():
        if not _is_number(entry.value or column):
            yield f"{where}.columns.{column}: must be a number, as the table has an axis"
    yield from _quote_problems(where, table.cell)
    for text, known in ((table.cell, {"row", "column"}), *_metrics(table)):
        for name in Template(text).get_identifiers():
            if name not in known:
                yield f"{where}: {text!r}: unknown ${{{name}}}; {choices(name, known)}"
        if not Template(text).is_valid():
            yield f"{where}: {text!r}: a $ must be $${{}} or belong to ${{row}} or ${{column}}"
    for row, values in (table.reported.values if table.reported else {}).items():
        if row not in table.rows:
            yield f"{where}.reported: no row {row!r}; {choices(row, table.rows)}"
        for column in values:
            if column not in table.columns:
                known_ones = choices(column, table.columns)
                yield f"{where}.reported.{row}: no column {column!r}; {known_ones}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _metrics(table: Table) -> Iterator[tuple[str, set[str]]]:
    for entry in (*table.rows.values(), *table.columns.values()):
        yield entry.metric or "", {"metric"}
