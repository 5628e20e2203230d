"""What a paper's file may say of the values that the paper reports, and how each was read.

    reported:
      source: table 2 of the paper             # keys beside these are the table's rows
      A: {x: 97.50, y: {value: 81.2, spread: 0.4, n: 5}}
      B: {read: figure, precision: 0.02, x: 0.13, y: 0.19}
      C: {x: {value: 0.1523, read: computed, file: owner/name logs/test.pkl, commit: 696e2c5}}

`printed` (what is said of none): the digits written here are the source's, the last zero too, and
its precision is half a unit of the last: 24e3 was rounded to thousands. `figure`: decoded from a
picture, to `precision` either way. `computed`: by us, from a file that was published. What is said
beside the rows or in a row holds for all values in it, but for those that say `read` anew.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, GetPydanticSchema, ValidatorFunctionWrapHandler, model_validator
from pydantic_core import core_schema

from ppr.config.yaml_files import Written
from ppr.errors import choices
from ppr.papers.part import Part

READING = ("read", "precision", "file", "commit", "n", "source")
"""Keys of a value that may stand in its row as well, and all but the last beside the rows."""

ROUNDING = 1e-9
"""Of what is allowed: 0.55 is half a digit from a printed 0.5, whatever binary fractions say."""


def _as_written(given: Any, handler: ValidatorFunctionWrapHandler) -> Written:
    if isinstance(given, bool | str):
        raise ValueError("must be a number, with the digits that the source prints")
    handler(given)  # refuses what is no finite number
    return given if isinstance(given, Written) else Written(repr(given))


Number = Annotated[
    Written,
    GetPydanticSchema(
        lambda _, handler: core_schema.no_info_wrap_validator_function(_as_written, handler(float))
    ),
]


class Later(Part):
    """What the authors' own later code gives instead, and where."""

    value: Number
    source: str = Field(min_length=1)


class Value(Part):
    """A reported value.

    `half_width`: of its 95 % interval, where the source gives one; where it gives the standard
    deviation over `n` runs, that is `spread`.
    """

    value: Number
    half_width: float = Field(default=0.0, ge=0)
    spread: float | None = Field(default=None, ge=0)
    n: int | None = Field(default=None, ge=1)
    read: Literal["printed", "figure", "computed"] = "printed"
    precision: float | None = Field(default=None, gt=0)
    file: str | None = Field(default=None, min_length=1)
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{7,40}$")
    source: str | None = Field(default=None, min_length=1)
    later: Later | None = None

    @model_validator(mode="after")
    def _as_it_was_read(self) -> Value:
        if (self.read == "figure") != (self.precision is not None):
            raise ValueError(
                "`read: figure` and `precision`, how far it may be off either way, go together; "
                "of other values the digits written tell it"
            )
        from_file = self.read == "computed"
        if from_file != (self.file is not None) or from_file != (self.commit is not None):
            raise ValueError("`read: computed`, `file` and `commit` go together")
        if self.half_width and self.spread is not None:
            raise ValueError("`half_width` of an interval, or `spread` over `n` runs, not both")
        if self.spread is not None and self.n == 1:
            raise ValueError("`spread` of one run: there is none")
        return self

    @property
    def read_to(self) -> float:
        """How precisely it is known as read, either way."""
        return self.value.half_unit if self.precision is None else self.precision

    @property
    def interval(self) -> float:
        """The half-width of its 95 % interval; 0 where the source does not tell."""
        if self.spread is None or self.n is None:
            return self.half_width
        from ppr.results.statistics import t_quantile

        return t_quantile(self.n - 1) * self.spread / math.sqrt(self.n)

    def allowed(self, tolerance: float = 0.0) -> tuple[float, str]:
        """How far from it is still the same, and what that is made of."""
        reading = "read off the figure" if self.precision else "half its last digit"
        parts = {reading: self.read_to, "its interval": self.interval, "tolerance": tolerance}
        given = {name: size for name, size in parts.items() if size}
        return sum(given.values()), " + ".join(f"{size:.3g} {name}" for name, size in given.items())

    def __str__(self) -> str:
        """`97.50 ± 0.31 (n=5)`, `≈0.13` of a figure."""
        told = f"{'≈' * (self.read == 'figure')}{self.value.text}"
        if self.interval:
            digits = max(0, 1 - math.floor(math.log10(self.interval)))
            told += f" ± {self.interval:.{digits}f}"
        return f"{told} (n={self.n})" if self.n and self.interval else told


class Reported(Part):
    """What a paper prints, and where that was read. Keys beside these are the table's rows."""

    source: str = Field(min_length=1)
    selection: Literal["last epoch", "best validation epoch", "best test epoch"] | None = None
    protocol: str | None = None
    values: dict[str, dict[str, Value]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _rows_beside_the_source(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        named = {*cls.model_fields} - {"values"}
        own = {key: given[key] for key in named if key in given}
        whole = {key: given[key] for key in READING if key in given and key not in named}
        rows = {key: row for key, row in given.items() if key not in {*named, *whole}}
        for name, row in rows.items():
            if not isinstance(row, Mapping):
                known = choices(str(name), {*named, *READING})
                raise ValueError(
                    f"{name}={row!r}: a row has a mapping of columns; or a key, {known}"
                )
        return {
            **own,
            "values": {str(n): dict(_row(str(n), row, whole)) for n, row in rows.items()},
        }


def _row(name: str, row: Mapping[Any, Any], whole: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each column's value with what was said of all, and of the row."""
    common = _over(whole, {key: row[key] for key in READING if key in row})
    for column, value in row.items():
        if column in READING:
            continue
        if isinstance(value, Mapping):
            yield str(column), _over(common, value)
        elif isinstance(value, int | float):
            yield str(column), {**common, "value": value}
        else:
            known = choices(str(column), READING)
            raise ValueError(f"{name}.{column}={value!r}: must be a number; or a key, {known}")


def _over(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """What is said nearer holds; `read` said anew takes away how the others were read."""
    anew = {"precision", "file", "commit"} if "read" in inner else set()
    return {**{key: said for key, said in outer.items() if key not in anew}, **inner}


def reported_problems(
    reported: Reported, rows: Collection[str], columns: Collection[str]
) -> Iterator[str]:
    """What does not fit the table that the values are of."""
    for name in {*columns} & {*READING}:
        yield f"columns.{name}: so is a key of reported values called; name it otherwise"
    for row, values in reported.values.items():
        if row not in rows:
            yield f"reported: no row {row!r}; {choices(row, rows)}"
        for column in values:
            if column not in columns:
                yield f"reported.{row}: no column {column!r}; {choices(column, columns)}"


def readings(reported: Reported) -> Iterator[str]:
    """How the values were read that are not printed as they stand, a line each way and source."""
    found: dict[str, list[str]] = {}
    for row, values in reported.values.items():
        for column, value in values.items():
            if value.read == "figure":
                found.setdefault(f"read off a figure, to ± {value.precision:g}", []).append(
                    f"{row}, {column}"
                )
            if value.read == "computed":
                found.setdefault(f"computed from {value.file} at {value.commit}", []).append(
                    f"{row}, {column}"
                )
            if value.source:
                found.setdefault(f"from {value.source}", []).append(f"{row}, {column}")
            if value.later:
                told = f"the authors' later code gives {value.later.value.text}"
                found.setdefault(f"{told} ({value.later.source})", []).append(f"{row}, {column}")
    every = sum(map(len, reported.values.values()))
    for said, places in found.items():
        which = "all of them" if len(places) == every > 1 else "; ".join(places)
        yield f"Reported, {said}: {which}."
