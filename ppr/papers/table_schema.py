"""What a paper's file may say of a table: rows × columns of cells, seeds, reported values.

Values are written as the paper prints them, in the table's `unit`; metrics in the results tree are
fractions of 1, so a table in "%" shows them times 100.
"""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Iterator, Mapping
from string import Template
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ppr.errors import choices
from ppr.papers.part import Part
from ppr.papers.reported import Reported, reported_problems
from ppr.papers.tune_schema import Grid, Tune
from ppr.papers.universe_schema import Universes
from ppr.results.metrics import lower_is_better

SCALES = ("desk", "paper")
Scale = Literal["desk", "paper"]
Settings = Literal["paper", "tuned", "tuned by hand", "untuned", "none"]
Own = Literal["paper", "untuned", "none"]
Best = Literal["max", "min", "none"]


class Entry(Part):
    """A row or a column: what stands for it in `cell`, and its metric where it has its own.

    `${metric}` in a row's metric is the metric of the column or table: `untrained/${metric}`.
    `settings`, where they are not the table's: of a row that was left out of the tuning.
    """

    value: str = ""
    metric: str | None = None
    best: Best | None = None
    settings: Own | None = None


class Table(Part):
    """Rows × columns of cells; `cell` spells the overrides of one, with `${row}`, `${column}`.

    `axis` says that the columns are numbers, and of what, so that the table is drawn as well;
    `quantity` then says what its other axis measures, and in what. `seeds` is a plan: that many
    count, from 0 on, and no others. `looks` says at which numbers of seeds claims are judged;
    `seeds` is then the first of them unless the file says more.

    `settings` says where learning rates and lengths are from: `paper`, the paper's own; `tuned by
    hand`, of a grid for every row, so the notes say, chosen on validation; `untuned`, neither;
    `none`, nothing is trained. A table with a grid in `tune` is `tuned`, and does not say so.

    `universes`: those of all its findings, run with `universe_seeds` seeds, from 0 on, or
    as few as the table has.
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
    tune: Tune | None = None
    universes: Universes = Universes()
    universe_seeds: int = Field(default=2, ge=1, le=100)
    protocol: dict[str, str | int | float | bool] = Field(default_factory=dict)
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
        return {**first, **given, **axes, **_settings(given)}

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
    def few(self) -> int:
        """The seeds of a universe: no more than those of the table."""
        return min(self.universe_seeds, self.seeds)

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
        if self.tune and not own and not self.tune.of_row(row):
            return "paper"
        return "untuned" if "untuned" in own else next(iter(own), self.settings)

    def grid_of(self, row: str, column: str) -> Grid:
        """What is tuned of a cell; nothing of one that is left out, or fixed by the paper."""
        if self.tune is None or self.rows[row].settings or self.columns[column].settings:
            return {}
        return self.tune.of_row(row)

    def metric_of(self, row: str, column: str) -> str:
        base = self.columns[column].metric or self.metric
        return Template(self.rows[row].metric or base).substitute(metric=base)


def _settings(given: Mapping[Any, Any]) -> dict[str, str]:
    """`tuned` follows from a grid, and from nothing else."""
    said = given.get("settings")
    if given.get("tune") is not None:
        if said is not None:
            raise ValueError(f"`settings: {said}` beside `tune`, from which they follow; leave it")
        return {"settings": "tuned"}
    if said == "tuned":
        raise ValueError(
            "`settings: tuned` without `tune`: it follows from a grid that ppr runs; "
            "what the notes state is `tuned by hand`"
        )
    return {}


def _tune_problems(where: str, table: Table) -> Iterator[str]:
    if table.tune is None:
        return
    for row in table.tune.rows:
        if row not in table.rows:
            yield f"{where}.tune.rows: no row {row!r}; {choices(row, table.rows)}"
        elif own := table.rows[row].settings:
            yield f"{where}.tune.rows.{row}: the row says `settings: {own}`, so it is not tuned"
    tuned = [row for row, entry in table.rows.items() if not entry.settings]
    yield from (f"{where}.tune.{p}" for p in table.tune.problems(tuned, table.plan[-1]))
    for row in tuned:
        for column, entry in table.columns.items():
            said = {word.partition("=")[0] for word in entry.value.split()}
            for field in table.grid_of(row, column).keys() & said:
                yield f"{where}.tune: {field} is what the columns differ in, {column} among them"


def _quote_problems(where: str, cell: str) -> Iterator[str]:
    try:
        shlex.split(cell)
    except ValueError as error:
        yield f"{where}.cell={cell!r}: {str(error).lower()}"


def table_problems(where: str, table: Table) -> Iterator[str]:
    for axis in ("rows", "columns"):
        if not getattr(table, axis):
            yield f"{where}.{axis}: there must be at least one"
    for column, entry in table.columns.items() if table.axis is not None else ():
        if not _is_number(entry.value or column):
            yield f"{where}.columns.{column}: must be a number, as the table has an axis"
    yield from _quote_problems(where, table.cell)
    yield from _tune_problems(where, table)
    for text, known in ((table.cell, {"row", "column"}), *_metrics(table)):
        for name in Template(text).get_identifiers():
            if name not in known:
                yield f"{where}: {text!r}: unknown ${{{name}}}; {choices(name, known)}"
        if not Template(text).is_valid():
            yield f"{where}: {text!r}: a $ must be $${{}} or belong to ${{row}} or ${{column}}"
    if table.reported:
        for problem in reported_problems(table.reported, table.rows, table.columns):
            yield f"{where}.{problem}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _metrics(table: Table) -> Iterator[tuple[str, set[str]]]:
    for entry in (*table.rows.values(), *table.columns.values()):
        yield entry.metric or "", {"metric"}
