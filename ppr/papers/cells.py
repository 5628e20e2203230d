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
from ppr.papers.doubts import notes as doubts
from ppr.papers.doubts import turning
from ppr.papers.records import edited
from ppr.papers.reported import Value
from ppr.papers.schema import Paper
from ppr.papers.table_schema import Table
from ppr.papers.tune_schema import Grid, Point, Tune, points, text
from ppr.papers.tuning import Choice, Tried
from ppr.results.metrics import measured, metrics, monitored, quantity
from ppr.results.statistics import Interval, far_seeds, mean_interval
from ppr.results.tree import Record, Scan

MONITORED = "the monitor's"
"""Stands for the metric that a run was watched by on the validation split, whichever it was."""

Resolve = Callable[[Sequence[str]], tuple[str, str]]
"""Overrides -> (experiment, variant); BadRequest for overrides that name what is not there."""


@runtime_checkable
class Derives(Protocol):
    """A `Resolve` that composes knows what universes follow from as well."""

    def facts(self, overrides: Sequence[str]) -> Facts: ...


@dataclass(frozen=True)
class Cell:
    """One place of a table, before any run is looked at.

    `extra`: words of a universe in which it is asked, or of a tuning run, which outrank the
    table's own, a key a word. `tuned_at`: the point of the grid that a tuning run is of;
    `own_seeds`: its seeds, where they are not the first of all.
    """

    name: str
    table: Table
    row: str
    column: str
    metric: str
    universe: str = ""
    extra: tuple[str, ...] = ()
    tuned_at: str = ""
    own_seeds: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        where = f"{self.name}.{self.row}.{self.column}"
        if self.tuned_at:
            return f"{where} tuned at {self.tuned_at}"
        return f"{where} in universe {self.universe}" if self.universe else where

    @cached_property  # asked for a dozen times a cell, and a shell's split is slow
    def overrides(self) -> tuple[str, ...]:
        """Its words, less those of the choice of its row (`Results.words`)."""
        return self.at(())

    def at(self, point: Point) -> tuple[str, ...]:
        """Its words with those of a point of its row's grid."""
        own = shlex.split(self.table.overrides(self.row, self.column))
        return _over(_over(own, point), self.extra)

    def seeds(self, number: int) -> Sequence[int]:
        """So many of its seeds."""
        return self.own_seeds[:number] or range(number)

    @property
    def reported(self) -> Value | None:
        reported = self.table.reported
        return reported.values.get(self.row, {}).get(self.column) if reported else None

    @property
    def quantity(self) -> str:
        """The metric without where it was taken: an untrained encoder's accuracy is one too."""
        return quantity(self.metric)

    @property
    def is_theory(self) -> bool:
        """Whether it is what a study's closed form gives, and no measurement."""
        return self.metric.startswith("theory/")

    @property
    def meaning(self) -> str:
        """The quantity without its origin: a study measures it, and has it from theory too."""
        return self.quantity.removeprefix("measured/").removeprefix("theory/")


def _over(words: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    """Words with others that outrank them, a key a word."""
    said = {word.partition("=")[0] for word in more}
    return (*(word for word in words if word.partition("=")[0] not in said), *more)


@dataclass(frozen=True)
class Filled:
    """A cell with its finished runs. `samples`: seed -> value, in the table's unit.

    `words`: the cell's, the choice of its row among them. `choice`: that choice, if its row is
    tuned; as long as it is open the words are a stand-in's, and the cell has neither variant nor
    runs.

    `older`: seed -> the components of which its run is of other code than today's, if any, each
    with what a run done again gave instead, empty where none was.
    `attested`: seed -> those of other code that gives the same numbers, with how that is known.
    `turns`: seed -> its values by number of threads, where the order of sums decides them.
    """

    cell: Cell
    experiment: str
    variant: str
    words: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    samples: Mapping[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    undefined: frozenset[int] = frozenset()
    """Seeds whose runs are done and have no such metric, as that of a bin that none falls into."""
    older: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    attested: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    turns: Mapping[int, str] = field(default_factory=dict)
    choice: Choice | None = None

    @property
    def is_open(self) -> bool:
        """Whether its row's tuning is incomplete, so that it is not known which runs it is of."""
        return self.choice is not None and self.choice.best is None

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
        asked = self.cell.seeds(seeds)
        return [s for s in asked if s not in self.samples and s not in self.undefined]

    def first(self, seeds: int) -> Filled:
        """The same cell with so many seeds alone."""
        kept = self.cell.seeds(seeds)
        return replace(
            self,
            records=tuple(record for record in self.records if record.seed in kept),
            samples={seed: value for seed, value in self.samples.items() if seed in kept},
            undefined=frozenset(seed for seed in self.undefined if seed in kept),
            older={seed: found for seed, found in self.older.items() if seed in kept},
            attested={seed: found for seed, found in self.attested.items() if seed in kept},
        )

    @property
    def missing_seeds(self) -> list[int]:
        return self.lacks(self.asked)

    @property
    def command(self) -> str:
        """The command that would fill the cell, or first tune its row; empty where it is full."""
        missing = self.missing_seeds
        if self.is_open or not missing:
            return self._tuning if self.is_open else ""
        many = ["-m"] if len(missing) > 1 else []
        seeds = f"seed={','.join(map(str, missing))}"
        return command_line("run", *many, *self.words, seeds)

    @property
    def _tuning(self) -> str:
        """The command that runs the grid with the cell's own words."""
        assert self.choice is not None
        tune = self.cell.table.tune
        grid = [f"{k}={','.join(map(text, v))}" for k, v in self.choice.grid.items()]
        more = [*grid, *shlex.split(tune.words if tune else "")]
        seeds = f"seed={','.join(map(str, self.choice.seeds))}"
        return command_line("run", "-m", *_over(self.cell.overrides, more), seeds)


def _alike(cell: Cell) -> list[Cell]:
    """The cells of a row that have the choice of one of them: all, or those of the same words."""
    table = cell.table
    row = [
        Cell(cell.name, table, cell.row, column, table.metric_of(cell.row, column))
        for column in table.columns
        if table.grid_of(cell.row, column)
    ]
    if table.tune is None or table.tune.each == "row":
        return row
    return [each for each in row if each.overrides == replace(cell, extra=()).overrides]


def _tuning(cell: Cell, point: Point) -> Cell:
    """A cell's runs at one point of its grid: of the tuning seeds, and no others."""
    tune = cell.table.tune
    assert tune is not None
    alone = {"seeds": len(tune.seeds), "looks": (), "unit": "", "tune": None}
    return replace(
        cell,
        table=cell.table.model_copy(update=alone),
        metric=tune.metric or MONITORED,
        extra=(*point, *shlex.split(tune.words)),
        tuned_at=" ".join(point),
        own_seeds=tune.seeds,
    )


def _means(runs: Sequence[Filled]) -> list[float]:
    """The mean over seeds in each of the columns; nothing where one has none."""
    if not all(one.samples for one in runs):
        return []
    return [statistics.fmean(one.samples.values()) for one in runs]


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
        self._choices: dict[tuple[object, ...], Choice] = {}
        self._problems = scan.problems
        self.attested = Attested(scan)
        self._roundings = {each.record: each for each in scan.roundings}
        for record in scan.records:
            self._records.setdefault((record.experiment, record.variant), []).append(record)

    def variant(self, cell: Cell) -> tuple[str, str]:
        """The experiment and variant of a cell.

        Raises:
            BadRequest: its overrides name an experiment, a component or a field that is not there.
        """
        return self._variant(cell, self.words(cell))

    def untuned(self, cell: Cell) -> tuple[str, str]:
        """The same of a cell's words without the choice of its row."""
        return self._variant(cell, cell.overrides)

    def _variant(self, cell: Cell, words: tuple[str, ...]) -> tuple[str, str]:
        if words not in self._variants:
            try:
                self._variants[words] = self._resolve(words)
            except BadRequest as error:
                raise BadRequest(f"tables.{cell.place}: {error}") from None
        return self._variants[words]

    def words(self, cell: Cell) -> tuple[str, ...]:
        """The words of a cell, those chosen for its row among them; a stand-in's if none are yet.

        Raises:
            BadRequest: as `choice`.
        """
        choice = self.choice(cell)
        if choice is None:
            return cell.overrides
        return cell.at((choice.best or choice.tried[0]).point)

    def choice(self, cell: Cell) -> Choice | None:
        """What its row's tuning runs have chosen for a cell; None where nothing is tuned.

        Raises:
            BadRequest: a field of the grid that the row does not have, a metric that its runs do
            not have, or two points of one run.
        """
        tune, grid = cell.table.tune, cell.table.grid_of(cell.row, cell.column)
        if tune is None or not grid:
            return None
        alike = ((each.column, each.overrides) for each in _alike(cell))
        key = (cell.name, cell.row, cell.table.scale, repr(tune), *alike)
        if key not in self._choices:
            self._choices[key] = self._chosen(cell, tune, grid, self.trials(cell))
        return self._choices[key]

    def _chosen(self, cell: Cell, tune: Tune, grid: Grid, runs: Sequence[Filled]) -> Choice:
        by_point: dict[Point, list[Filled]] = {point: [] for point in points(grid)}
        seen: dict[tuple[str, str], Point] = {}
        for one in runs:
            point = one.cell.extra[: len(grid)]
            other = seen.setdefault((one.experiment, one.variant), point)
            if other != point:
                told = f"{' '.join(other)} and {' '.join(point)}"
                raise BadRequest(f"tables.{cell.name}.tune: {cell.row}: {told} are the same run")
            by_point[point].append(one)
        alike = list(dict.fromkeys(each.column for each in _alike(cell)))
        return Choice(
            row=cell.row,
            columns=tuple(alike) if tune.each == "cell" else (),
            metric=tune.metric or next((one.cell.metric for one in runs if one.records), MONITORED),
            seeds=tune.seeds,
            grid=grid,
            tried=tuple(Tried(p, _means(found)) for p, found in by_point.items()),
            asked=len(runs) * len(tune.seeds),
            done=sum(len(tune.seeds) - len(one.missing_seeds) for one in runs),
        )

    def trials(self, cell: Cell) -> list[Filled]:
        """The tuning runs that the choice for a cell rests on, point by point."""
        distinct = {each.overrides: each for each in reversed(_alike(cell))}
        grid = cell.table.grid_of(cell.row, cell.column)
        return [
            self.fill(_tuning(each, point))
            for point in points(grid)
            for each in reversed(distinct.values())
        ]

    def facts(self, cell: Cell) -> Facts:
        """What universes need to know of a cell's config: nothing, where none is composed.

        Raises:
            BadRequest: as `variant`.
        """
        self.variant(cell)
        words = self.words(cell)
        return self._resolve.facts(words) if isinstance(self._resolve, Derives) else Facts()

    def fill(self, cell: Cell) -> Filled:
        """The cell's finished runs of its table's scale and seeds, sound ones alone.

        What is left out is noted, with why. Other seeds are: a verdict on as many as happen to lie
        in the tree would depend on who else ran, and on when he stopped. Those of a later look of
        the table are in once they all are there.

        Raises:
            BadRequest: as `variant`; or no run of the whole tree has the metric, though the cell
            has runs: it is misspelt.
        """
        words, choice = self.words(cell), self.choice(cell)
        experiment, variant = self._variant(cell, words)
        if choice and choice.best is None:
            why = f"{choice.done} of {choice.asked} tuning runs are there, so no choice is made"
            note = f"{cell.row}, {cell.column}: {why}"
            return Filled(cell, experiment, "", words, notes=(note,), choice=choice)
        return self._filled(Filled(cell, experiment, variant, words, choice=choice))

    def _filled(self, empty: Filled) -> Filled:
        cell, experiment, variant = empty.cell, empty.experiment, empty.variant
        used, samples, notes, beyond = [], {}, [], []
        tuning = cell.table.tune.seeds if cell.table.tune else ()
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
            if record.seed not in cell.seeds(cell.table.plan[-1]):
                if not cell.tuned_at and record.seed not in tuning:
                    beyond.append(record.seed)
                continue
            if edit := self._edited(record):
                notes.append(f"{where}: {edit}: left out")
                continue
            known = metrics(record.summary)
            metric = monitored(record.summary) if cell.metric == MONITORED else cell.metric
            if metric not in known:
                undefined.append(record.seed)
                lacking |= known.keys()
                continue
            used.append(record)
            samples[record.seed] = known[metric] * cell.table.factor
            changes[record.seed] = self.attested.changes(record, metric)
        if lacking and not samples and cell.metric not in self._measured:
            raise BadRequest(
                f"tables.{cell.place}: no metric {cell.metric!r} in its runs; "
                f"{choices(cell.metric, lacking)}"
            )
        older = {seed: found.older for seed, found in changes.items() if found.older}
        same = {seed: found.same for seed, found in changes.items() if found.same}
        filled = replace(
            empty,
            records=tuple(used),
            samples=samples,
            undefined=frozenset(undefined),
            older=older,
            attested=same,
        )
        asked = filled.asked
        kept = cell.seeds(asked)
        beyond += [seed for seed in (*samples, *undefined) if seed not in kept]
        undefined = [seed for seed in undefined if seed in kept]
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
        if cell.metric == MONITORED and used:
            shown = replace(shown, cell=replace(cell, metric=monitored(used[0].summary)))
        return self._doubted(shown, notes)

    def _doubted(self, filled: Filled, noted: Sequence[str]) -> Filled:
        cell, samples = filled.cell, filled.samples
        factor = cell.table.factor
        turns = turning(filled.records, samples, cell.metric, factor, self._roundings)
        notes = doubts(f"{cell.row}, {cell.column}", samples, filled.far, turns)
        return replace(filled, turns=turns, notes=(*noted, *notes))

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
