"""A paper's table filled from the results tree, before it takes any format.

Each column of the paper becomes one of reproduced values and, where the paper reports any there,
two more: what it reports and the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ppr.commands import command_line
from ppr.config.code import where
from ppr.papers.cells import Filled, Results, cells
from ppr.papers.comparisons import leaders
from ppr.papers.reported import readings
from ppr.papers.schema import Paper
from ppr.papers.table_schema import Best, Settings, Table
from ppr.papers.tuned import table_choices
from ppr.papers.tuning import Choice, budgets, told
from ppr.results.metrics import flatten

MOST_EXTRA_PLACES = 3
"""Decimals that a small interval may add to a cell; one smaller still is written as 2e-09."""

OLDER = "†"
"""Marks a cell that was recorded with other code than today's."""


@dataclass(frozen=True)
class Sheet:
    """A filled table: `places[row][column]` is a cell with its runs."""

    paper: Paper
    name: str
    table: Table
    places: dict[str, dict[str, Filled]]

    @property
    def cells(self) -> list[Filled]:
        return [filled for row in self.places.values() for filled in row.values()]

    @cached_property
    def choices(self) -> list[Choice]:
        """What the tuning has chosen for its rows."""
        return table_choices(self.cells)

    @property
    def title(self) -> str:
        return f"{self.paper.title} ({self.paper.year}): {self.table.title}"

    def has_reported(self, column: str) -> bool:
        return any(row[column].cell.reported for row in self.places.values())

    def is_best(self, filled: Filled) -> bool:
        """Whether the cell is the best of its column, or not told apart from it by its seeds."""
        return filled.cell.row in self._leaders[filled.cell.column]

    @cached_property
    def _leaders(self) -> dict[str, set[str]]:
        """Column -> its best rows, metric by metric; a closed form is no rival."""
        found: dict[str, set[str]] = {column: set() for column in self.table.columns}
        rivals: dict[tuple[str, Best, str], dict[str, list[float]]] = {}
        for filled in self.cells:
            cell = filled.cell
            if filled.samples and not cell.is_theory:
                key = cell.column, *self.table.best_of(cell.row, cell.column)
                rivals.setdefault(key, {})[cell.row] = list(filled.samples.values())
        for (column, best, _), samples in rivals.items():
            if best != "none":
                found[column] |= leaders(samples, best)
        return found


def fill(paper: Paper, name: str, results: Results) -> Sheet:
    """One table of a paper with the runs behind its cells.

    Raises:
        BadRequest: a cell names an experiment, a component, a field or a metric that is not there.
    """
    table = paper.tables[name]
    places: dict[str, dict[str, Filled]] = {}
    for cell in cells(name, table):
        places.setdefault(cell.row, {})[cell.column] = results.fill(cell)
    return Sheet(paper, name, table, places)


def reproduced(filled: Filled) -> str:
    """The cell's mean ± half-width (n), in the table's unit; empty without runs.

    Marked where a run in it is of an older code than today's.
    """
    return _interval(filled) + f" {OLDER}" * bool(filled.older)


def _interval(filled: Filled) -> str:
    interval, places = filled.interval, filled.cell.table.places
    if interval is None:
        return ""
    if interval.half_width is None:
        # A closed form does not depend on the seed; that all are equal says nothing there.
        without = "" if filled.cell.is_theory else f" ({interval.without})"
        return f"{interval.mean:.{places}f}{without}"
    # An interval must not be rounded away: ± 0.0 would say that there is no doubt.
    needed = math.ceil(-math.log10(interval.half_width))
    if needed > places + MOST_EXTRA_PLACES:
        # Of 1e-12 the digits are those of rounding errors.
        return f"{interval.mean:.{places}f} ± <{10**-places:.{places}f} (n={interval.n})"
    places = max(places, needed)
    return f"{interval.mean:.{places}f} ± {interval.half_width:.{places}f} (n={interval.n})"


def reported(filled: Filled) -> str:
    """As the source prints it."""
    return str(filled.cell.reported or "")


def difference(filled: Filled) -> str:
    if filled.difference is None:
        return ""
    return f"{filled.difference:+.{filled.cell.table.places}f}"


_SETTINGS: dict[Settings, str] = {
    "paper": "the paper's own",
    "tuned": "tuned",
    "tuned by hand": "tuned by hand, by the grid that the paper's notes state",
    "untuned": "untuned, nor the paper's own",
}


def _left_out(table: Table) -> str:
    """The rows and columns of a tuned table that are not."""
    entries = {**table.rows, **table.columns}
    names = [name for name, entry in entries.items() if entry.settings == "untuned"]
    return f"; untuned: {', '.join(names)}" if names else ""


def notes(sheet: Sheet) -> Iterator[str]:
    """What must stand under the table for its numbers to mean anything, a line each."""
    table = sheet.table
    unit = f" in {table.unit}" if table.unit else ""
    metrics = ", ".join(dict.fromkeys(filled.cell.metric for filled in sheet.cells))
    yield f"Scale: {table.scale}. Metric: {metrics}{unit}."
    yield "Reproduced: mean ± 95 % confidence half-width, Student t over n seeds."
    if any(map(sheet.is_best, sheet.cells)):
        yield "Marked: the best of a column, and what its seeds do not tell apart from it (Welch)."
    if table.protocol:
        yield f"Protocol: {_list(table.protocol)}."
    if table.settings != "none":
        yield f"Settings: {_SETTINGS[table.settings]}{_left_out(table)}."
    yield from _tuning(sheet)
    yield from _recorded(sheet)
    if table.reported:
        words = f"Reported: {table.reported.source}"
        if table.reported.protocol:
            words += f"; {table.reported.protocol}"
        yield f"{words}."
        if table.reported.selection == "best test epoch":
            yield (
                "Warning: the reported values are of the best test epoch, chosen on the test set;"
                " the reproduced ones are not, unless their metric says so."
            )
        elif table.reported.selection:
            yield f"Reported values are of the {table.reported.selection}."
        yield from readings(table.reported)
    yield from _older(sheet)
    for filled in sheet.cells:
        for note in () if filled.is_open else filled.notes:
            yield f"Warning: {note}"


def _tuning(sheet: Sheet) -> Iterator[str]:
    """The grid's budget and metric, then each choice with all the values behind it."""
    tune = sheet.table.tune
    if tune is None or not sheet.choices:
        return
    first = sheet.choices[0]
    of = "each cell" if tune.each == "cell" else "each row, over its columns"
    seeds = ", ".join(map(str, tune.seeds))
    yield (
        f"Tuning, for {of}: {budgets(sheet.choices)}, by the mean {first.metric} "
        f"({first.direction}) of seeds {seeds} (n={len(tune.seeds)})"
        + (f", with {tune.words}" if tune.words else "")
        + "."
    )
    for row, own in tune.rows.items():
        if own.fixed:
            yield f"Not tuned, {row}: {own.fixed}."
    for choice in sheet.choices:
        yield f"Tuned, {told(choice)}"


def commands(sheet: Sheet) -> list[tuple[str, str]]:
    """Each cell that lacks seeds, and the command that runs them; one for cells that share runs."""
    found: dict[str, dict[str, None]] = {}
    for filled in sheet.cells:
        if filled.choice and filled.is_open:
            again = command_line("reproduce", f"{sheet.paper.slug}/{sheet.name}")
            have = f"{filled.choice.done} of {filled.choice.asked} tuning runs"
            found.setdefault(again, {})[f"{filled.choice.label} ({have})"] = None
        elif filled.command:
            have = f"{len(filled.samples)} of {filled.asked} seeds"
            place = f"{filled.cell.row}, {filled.cell.column} ({have})"
            found.setdefault(filled.command, {})[place] = None
    return [("; ".join(places), command) for command, places in found.items()]


def _older(sheet: Sheet) -> Iterator[str]:
    """Which code the marked cells were recorded with an older state of, and what renews them."""
    runs = [changed for filled in sheet.cells for changed in filled.older.values()]
    older = dict.fromkeys(each for changed in runs for each in changed)
    said = dict.fromkeys(says for changed in runs for says in changed.values() if says)
    if older:
        renew = command_line("reproduce", f"{sheet.paper.slug}/{sheet.name}", "--renew")
        told = f" A run done again {'; '.join(said)}." if said else ""
        yield (
            f"{OLDER} Recorded with other code of {', '.join(map(where, older))} than today's; "
            f"{renew} runs these again.{told}"
        )


def _recorded(sheet: Sheet) -> Iterator[str]:
    """What the runs themselves recorded of their protocol: in common, and where they differ."""
    seen: dict[str, dict[str, None]] = {}
    for filled in sheet.cells:
        evaluator = filled.cell.quantity.partition("/")[0]
        for record in filled.records:
            for key, value in flatten(record.summary.get("protocol") or {}, ".").items():
                name = key.removeprefix("evaluators.")
                # Of the evaluators the cell's own says what its number is.
                if name == key or name.partition(".")[0] == evaluator:
                    seen.setdefault(name, {})[str(value)] = None
    common = {key: next(iter(values)) for key, values in seen.items() if len(values) == 1}
    several = {key: " / ".join(values) for key, values in seen.items() if len(values) > 1}
    if common:
        yield f"Recorded by the runs: {_list(common)}."
    if several:
        yield f"The runs differ in: {_list(several)}."


def _list(pairs: dict[str, str] | dict[str, str | int | float | bool]) -> str:
    return "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in pairs.items())
