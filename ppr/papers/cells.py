"""The cells of a table: what each asks for, and the runs that answer it."""

from __future__ import annotations

import itertools
import shlex
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

from ppr.commands import command_line
from ppr.errors import BadRequest, choices
from ppr.papers.attested import Attested, Changes
from ppr.papers.defaults import Facts
from ppr.papers.records import edited
from ppr.papers.reported import Value
from ppr.papers.schema import Paper
from ppr.papers.table_schema import Table
from ppr.results.metrics import measured, metrics
from ppr.results.statistics import Interval, far_seeds, mean_interval
from ppr.results.tree import Record, Scan

Resolve = Callable[[Sequence[str]], tuple[str, str]]
"""Overrides -> (experiment, variant); BadRequest for overrides that name what is not there."""


@runtime_checkable
class Derives(Protocol):
    """A `Resolve` that composes knows what universes follow from as well."""

    def facts(self, overrides: Sequence[str]) -> Facts: ...


@dataclass(frozen=True)
class Cell:
    """One place of a table, before any run is looked at.

    `extra`: words of a universe in which it is asked, which outrank the table's own, a key a word.
    """

    name: str
    table: Table
    row: str
    column: str
    metric: str
    universe: str = ""
    extra: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        where = f"{self.name}.{self.row}.{self.column}"
        return f"{where} in universe {self.universe}" if self.universe else where

    @cached_property  # asked for a dozen times a cell, and a shell's split is slow
    def overrides(self) -> tuple[str, ...]:
        own = shlex.split(self.table.overrides(self.row, self.column))
        said = {word.partition("=")[0] for word in self.extra}
        return (*(word for word in own if word.partition("=")[0] not in said), *self.extra)

    @property
    def reported(self) -> Value | None:
        reported = self.table.reported
        return reported.values.get(self.row, {}).get(self.column) if reported else None

    @property
    def quantity(self) -> str:
        """The metric without where it was taken: an untrained encoder's accuracy is one too."""
        return self.metric.removeprefix("untrained/").removeprefix("best/")

    @property
    def is_theory(self) -> bool:
        """Whether it is what a study's closed form gives, and no measurement."""
        return self.metric.startswith("theory/")

    @property
    def meaning(self) -> str:
        """The quantity without its origin: a study measures it, and has it from theory too."""
        return self.quantity.removeprefix("measured/").removeprefix("theory/")


@dataclass(frozen=True)
class Filled:
    """A cell with its finished runs. `samples`: seed -> value, in the table's unit.

    `older`: seed -> the components of which its run is of other code than today's, if any, each
    with what a run done again gave instead, empty where none was.
    `attested`: seed -> those of other code that gives the same numbers, with how that is known.
    """

    cell: Cell
    experiment: str
    variant: str
    records: tuple[Record, ...]
    samples: Mapping[int, float]
    notes: tuple[str, ...]
    undefined: frozenset[int] = frozenset()
    """Seeds whose runs are done and have no such metric, as that of a bin that none falls into."""
    older: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    attested: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def interval(self) -> Interval | None:
        return mean_interval(self.samples.values()) if self.samples else None

    @cached_property
    def far(self) -> list[int]:
        """The seeds that lie far from the others, as if they had collapsed."""
        return [] if self.cell.is_theory else far_seeds(self.samples)

    @property
    def difference(self) -> float | None:
        reported, interval = self.cell.reported, self.interval
        return interval.mean - reported.value if reported and interval else None

    @property
    def asked(self) -> int:
        """How many seeds its table has come to ask for: its plan's first, or a later look taken."""
        done = (n for n in self.cell.table.plan if not self.lacks(n))
        return max(self.cell.table.seeds, *done, 0)

    @cached_property
    def certain(self) -> bool:
        """Whether no seed moves it, nor anything else that its runs measure.

        So it is of a closed form, a count, a fit to a published file. That one rounded share is the
        same for all seeds says less.
        """
        if self.cell.is_theory:
            return bool(self.samples)
        every = [measured(record.summary) for record in self.records]
        return len(every) > 1 and all(found == every[0] for found in every)

    def lacks(self, seeds: int) -> list[int]:
        """Which of so many seeds have no run yet."""
        return [s for s in range(seeds) if s not in self.samples and s not in self.undefined]

    def first(self, seeds: int) -> Filled:
        """The same cell with so many seeds alone."""
        return replace(
            self,
            records=tuple(record for record in self.records if record.seed < seeds),
            samples={seed: value for seed, value in self.samples.items() if seed < seeds},
            undefined=frozenset(seed for seed in self.undefined if seed < seeds),
            older={seed: found for seed, found in self.older.items() if seed < seeds},
            attested={seed: found for seed, found in self.attested.items() if seed < seeds},
        )

    @property
    def missing_seeds(self) -> list[int]:
        return self.lacks(self.asked)

    @property
    def command(self) -> str:
        """The command that would fill the cell; empty where it is full."""
        missing = self.missing_seeds
        if not missing:
            return ""
        many = ["-m"] if len(missing) > 1 else []
        seeds = f"seed={','.join(map(str, missing))}"
        return command_line("run", *many, *self.cell.overrides, seeds)


def cells(name: str, table: Table) -> list[Cell]:
    """Every cell of a table, row by row."""
    return [
        Cell(name, table, row, column, table.metric_of(row, column))
        for row in table.rows
        for column in table.columns
    ]


class Results:
    """Fills cells from one look at the results tree, each variant resolved once."""

    def __init__(self, resolve: Resolve, scan: Scan) -> None:
        self._resolve = resolve
        self._variants: dict[tuple[str, ...], tuple[str, str]] = {}
        self._records: dict[tuple[str, str], list[Record]] = {}
        self._edits: dict[tuple[str, str, int], str] = {}
        self._problems = scan.problems
        self.attested = Attested(scan)
        for record in scan.records:
            self._records.setdefault((record.experiment, record.variant), []).append(record)

    def variant(self, cell: Cell) -> tuple[str, str]:
        """The experiment and variant of a cell.

        Raises:
            BadRequest: its overrides name an experiment, a component or a field that is not there.
        """
        key = cell.overrides
        if key not in self._variants:
            try:
                self._variants[key] = self._resolve(key)
            except BadRequest as error:
                raise BadRequest(f"tables.{cell.place}: {error}") from None
        return self._variants[key]

    def facts(self, cell: Cell) -> Facts:
        """What universes need to know of a cell's config: nothing, where none is composed.

        Raises:
            BadRequest: as `variant`.
        """
        self.variant(cell)
        return (
            self._resolve.facts(cell.overrides) if isinstance(self._resolve, Derives) else Facts()
        )

    def fill(self, cell: Cell) -> Filled:
        """The cell's finished runs of its table's scale and seeds, sound ones alone.

        What is left out is noted, with why. Other seeds are: a verdict on as many as happen to lie
        in the tree would depend on who else ran, and on when he stopped. Those of a later look of
        the table are in once they all are there.

        Raises:
            BadRequest: as `variant`; or no run of the whole tree has the metric, though the cell
            has runs: it is misspelt.
        """
        experiment, variant = self.variant(cell)
        used, samples, notes, beyond = [], {}, [], []
        lacking: set[str] = set()
        undefined: list[int] = []
        changes: dict[int, Changes] = {}
        for record in self._records.get((experiment, variant), []):
            where = f"{experiment}/{variant}/seed={record.seed}"
            if record.state != "finished":
                if record.state == "failed":
                    notes.append(f"{where}: failed: left out")
                continue
            scale = record.summary.get("scale")
            if scale != cell.table.scale:
                notes.append(f"{where}: of scale {scale}, not {cell.table.scale}: left out")
                continue
            if record.seed not in range(cell.table.plan[-1]):
                beyond.append(record.seed)
                continue
            if edit := self._edited(record):
                notes.append(f"{where}: {edit}: left out")
                continue
            known = metrics(record.summary)
            if cell.metric not in known:
                undefined.append(record.seed)
                lacking |= known.keys()
                continue
            used.append(record)
            samples[record.seed] = known[cell.metric] * cell.table.factor
            changes[record.seed] = self.attested.changes(record, cell.metric)
        if lacking and not samples and cell.metric not in self._measured:
            raise BadRequest(
                f"tables.{cell.place}: no metric {cell.metric!r} in its runs; "
                f"{choices(cell.metric, lacking)}"
            )
        older = {seed: found.older for seed, found in changes.items() if found.older}
        same = {seed: found.same for seed, found in changes.items() if found.same}
        found = tuple(used), samples, (), frozenset(undefined), older, same
        filled = Filled(cell, experiment, variant, *found)
        asked = filled.asked
        beyond += [seed for seed in (*samples, *undefined) if seed >= asked]
        undefined = [seed for seed in undefined if seed < asked]
        if undefined:
            seeds = ",".join(map(str, undefined))
            notes.append(
                f"{experiment}/{variant}/seed={seeds}: {cell.metric} is undefined: left out"
            )
        if beyond:
            seeds = ", ".join(map(str, sorted(beyond)))
            notes.append(
                f"{experiment}/{variant}: the table asks for {asked}: seed {seeds} left out"
            )
        notes += [f"{problem}: left out" for problem in self._problems_of(experiment, variant)]
        shown = filled.first(asked)
        if shown.far:
            values = ", ".join(f"seed {seed} ({samples[seed]:.4g})" for seed in shown.far)
            middle = statistics.median(shown.samples.values())
            notes.append(
                f"{cell.row}, {cell.column}: {values} far from the others' {middle:.4g}: "
                "the mean says little of either"
            )
        return replace(shown, notes=tuple(notes))

    @cached_property
    def _measured(self) -> set[str]:
        """Every metric that some run of the tree has."""
        runs = itertools.chain.from_iterable(self._records.values())
        return {path for record in runs for path in metrics(record.summary)}

    def _edited(self, record: Record) -> str:
        key = record.experiment, record.variant, record.seed
        if key not in self._edits:
            self._edits[key] = edited(record)
        return self._edits[key]

    def _problems_of(self, experiment: str, variant: str) -> Iterator[str]:
        for problem in self._problems:
            if (
                problem.path.parent.name == variant
                and problem.path.parent.parent.name == experiment
            ):
                yield str(problem)


def refer(paper: Paper, reference: str, metric: str | None = None) -> list[Cell]:
    """The cells that a claim's `table`, `table.row` or `table.row.column` stands for.

    Raises:
        BadRequest: no such table, row or column.
    """
    name, _, rest = reference.partition(".")
    if name not in paper.tables:
        raise BadRequest(f"{reference!r}: no table {name!r}; {choices(name, paper.tables)}")
    table = paper.tables[name]
    every = cells(name, table)
    # Rows and columns may have dots in their names, so they are matched whole, never split.
    found = [cell for cell in every if rest in ("", cell.row, f"{cell.row}.{cell.column}")]
    if not found:
        row = next((row for row in table.rows if rest.startswith(f"{row}.")), None)
        if row is None:
            raise BadRequest(f"{reference!r}: no row {rest!r}; {choices(rest, table.rows)}")
        column = rest.removeprefix(f"{row}.")
        raise BadRequest(f"{reference!r}: no column {column!r}; {choices(column, table.columns)}")
    return [replace(cell, metric=metric) for cell in found] if metric else found
