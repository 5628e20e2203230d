"""What a paper's file may say of how a table's settings are tuned.

    tune:
      grid: {optimizer.lr: [0.003, 0.01, 0.03, 0.1]}    # the same for every row
      rows:
        Focal: {also: {loss.gamma: [1, 2, 5]}}          # fields of its own, each with each
        SVM: {instead: {loss.margin: [0.1, 1, 10]}}     # another grid
        Released: {fixed: "the released code's rate"}   # what the paper fixes is not tuned
      metric: validation/classifier/top1                # the run's monitor, if not said
      seeds: [100, 101]                                 # of tuning runs, and of no cell
      each: cell                                        # a choice for every cell, not every row
      words: engine.evaluate_every=50                   # of the tuning runs alone

A row or column that has `settings` of its own is left out. What the grid's best point is, the
recorded runs say (ppr/papers/tuning.py); it is written nowhere.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ppr.papers.part import Part

Grid = dict[str, list[Any]]
Point = tuple[str, ...]
"""The words of a point of a grid, one a field."""

_FIELD = re.compile(r"^[a-z_]\w*(\.\w+)+$")
_SPLIT = "validation"


class RowTune(Part):
    """Of one row: fields `also` tried, a grid `instead` of the table's, or why it is `fixed`."""

    also: Grid = Field(default_factory=dict)
    instead: Grid = Field(default_factory=dict)
    fixed: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> RowTune:
        if sum(map(bool, (self.also, self.instead, self.fixed.strip()))) != 1:
            raise ValueError("one of `also`, `instead` (fields and values) and `fixed` (why)")
        _check_grid(self.also or self.instead)
        return self


class Tune(Part):
    grid: Grid = Field(default_factory=dict)
    rows: dict[str, RowTune] = Field(default_factory=dict)
    metric: str = ""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(100, 101), min_length=1)
    each: Literal["row", "cell"] = "row"
    words: str = ""

    @field_validator("metric")
    @classmethod
    def _is_of_validation(cls, metric: str) -> str:
        if metric and _SPLIT not in re.split(r"[/_]", metric):
            raise ValueError(
                "is of the test split, or of no split; what is chosen is chosen on "
                f"validation: {_SPLIT}/{metric.removeprefix('best/')}"
            )
        return metric

    @model_validator(mode="after")
    def _is_a_grid(self) -> Tune:
        _check_grid(self.grid)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("`seeds`: one of them is there twice")
        for name, row in self.rows.items():
            for field in row.also.keys() & self.grid.keys():
                raise ValueError(f"`rows`: {name}: {field} is in the grid of every row already")
        try:
            said = {word.partition("=")[0] for word in shlex.split(self.words)}
        except ValueError as error:
            raise ValueError(f"`words`: {str(error).lower()}") from None
        grids = [self.grid, *(row.also | row.instead for row in self.rows.values())]
        for field in said & {"seed", *(field for grid in grids for field in grid)}:
            raise ValueError(f"`words`: {field} is what the tuning runs differ in")
        return self

    def of_row(self, row: str) -> Grid:
        """The grid of a row; nothing of one that is fixed."""
        own = self.rows.get(row, RowTune.model_construct())
        return {} if own.fixed else own.instead or self.grid | own.also

    def problems(self, rows: Sequence[str], plan: int) -> Iterator[str]:
        """What is wrong with it for the tuned rows of a table of so many seeds."""
        if used := [seed for seed in self.seeds if seed < plan]:
            yield (
                f"seeds: {', '.join(map(str, used))}: of the table's own, which are 0 to "
                f"{plan - 1}, looks included"
            )
        grids = {row: self.of_row(row) for row in rows}
        if not any(grids.values()) and rows:
            yield "grid: no row has any field to be tuned"
        for row, grid in grids.items():
            fixed = row in self.rows and self.rows[row].fixed
            if not fixed and len(points(grid)) < 2:
                yield f"grid: {row}: {'one point' if grid else 'no point'}, so there is no choice"


def points(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Each point of a grid, the last field the fastest."""
    if not grid:
        return []
    every = itertools.product(*grid.values())
    return [tuple(f"{k}={text(v)}" for k, v in zip(grid, each, strict=True)) for each in every]


def text(value: Any) -> str:
    """A value as on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(text, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _check_grid(grid: Grid) -> None:
    for field, values in grid.items():
        if not _FIELD.match(field):
            raise ValueError(f"{field}: not a field, as optimizer.lr is one")
        if not values:
            raise ValueError(f"{field}: no values")
        for at, value in enumerate(values):
            parts = value if isinstance(value, list) else [value]
            if any(isinstance(part, dict | list) for part in parts):
                raise ValueError(f"{field}: {value!r}: a value, or a list of values")
            if value in values[:at]:
                raise ValueError(f"{field}: {text(value)} is there twice")
