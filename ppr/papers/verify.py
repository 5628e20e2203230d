"""Is what papers' tables show still what their records say, and what their runs give?

`check` composes every cell anew: what an index says of it proves nothing. It finds

    a record that was edited              its digest covers config, results, code and environment
    a record of another config            its variant and run id are the hash of its config
    a seed that is missing                the table says how many a cell has
    a tuning run that is missing          without which nothing says of what settings cells are
    a published run that no cell asks for
    a universe that is missing            where others of its claims have been run
    an index that leads a cell elsewhere

an attestation that was edited, or is not of the record that it names

marks the cells that were recorded with other code of a component than today's, unless a run done
again has shown that this gives the same numbers (ppr/papers/attested.py): nothing is amiss with
such a record. It cannot find a number that was changed together with the digest over it,
for a digest is no signature. That takes `rerun`: the run is done again and held against its own
record (ppr/papers/again.py).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ppr.config.code import where
from ppr.display.terminal import count
from ppr.errors import BadRequest
from ppr.papers.attested import misfit
from ppr.papers.cache import indexed
from ppr.papers.cells import Cell, Filled, Resolve, Results, cells
from ppr.papers.multiverse import filled as universe_cells
from ppr.papers.records import faults, label
from ppr.papers.schema import Paper
from ppr.papers.tuned import tuning_runs
from ppr.results import roundings
from ppr.results.attestations import FILE
from ppr.results.tree import Problem, Record, Scan

_NAMED = 3
"""Cells that a line names of those it counts."""


@dataclass(frozen=True)
class Checked:
    """What was found of one paper.

    `off`: what is amiss; `old`: the cells of older code, which are what they say they are; `told`:
    what is worth a line, and no more, as are cells of older code that gives the same numbers.
    `filled`: the cells of each table that could be filled, from sound records alone; `shown`: these
    and the cells of its tuning and universes.
    """

    paper: Paper
    filled: Mapping[str, Sequence[Filled]]
    shown: Sequence[Filled]
    records: Sequence[Record]
    off: Sequence[str]
    old: Sequence[str]
    told: Sequence[str]


def check(paper: Paper, file: Path, seen: Scan, resolve: Resolve) -> Checked:
    """Hold a paper's cells against the records behind them."""
    results = Results(resolve, seen)
    off: list[str] = []
    told: list[str] = []
    filled: dict[str, list[Filled]] = {}
    for name, table in paper.tables.items():
        found = [each for cell in cells(name, table) if (each := _fill(cell, results, off, told))]
        if found:
            filled[name] = found
    tuning = _tuning(paper, results, off)
    asked_too = _universes(paper, seen, results, [*filled.values(), tuning], off)
    by_table = [[c for c in tuning if c.cell.name == name] for name in paper.tables]
    parts = [*by_table, *filled.values(), asked_too]
    shown = [cell for found in parts for cell in found]
    asked: dict[tuple[str, str], set[int]] = {}
    for cell in shown:
        seeds = cell.cell.seeds(cell.cell.table.plan[-1])
        asked.setdefault((cell.experiment, cell.variant), set()).update(seeds)
    behind = [r for r in seen.records if r.state == "finished" and _key(r) in asked]
    off += [f"{label(record)}: {fault}" for record in behind for fault in faults(record)]
    off += [str(problem) for problem in seen.problems if _concerns(problem, paper, asked)]
    off += _missing(parts)
    for record in seen.records:
        if record.state == "finished" and record.seed not in asked.get(_key(record), ()):
            if record.path is None and record.source.stem == paper.slug:
                off.append(f"{label(record)}: published, but no cell asks for it ({record.source})")
            elif _key(record) in asked:
                told.append(f"{label(record)}: in no cell, for the tables ask for fewer seeds")
    off += _misled(file, results, shown)
    old = [
        f"{many} recorded with other code of {where(each)}{says and f'; a run done again {says}'}"
        f": {which}"
        for each, says, many, which in _changed(shown, "older")
    ]
    told += [
        f"{many}: code of {each} has changed since; a run done again {says}: {which}"
        for each, says, many, which in _changed(shown, "attested")
    ]
    used = {label(record) for cell in shown for record in cell.records}
    return Checked(paper, filled, shown, [r for r in behind if label(r) in used], off, old, told)


def _key(record: Record) -> tuple[str, str]:
    return record.experiment, record.variant


def _fill(cell: Cell, results: Results, off: list[str], told: list[str]) -> Filled | None:
    """A cell with its runs. One whose experiment is yet to come is told of, no more."""
    try:
        results.variant(cell)
    except BadRequest as error:
        told.append(f"left out: {error}")
        return None
    try:
        return results.fill(cell)
    except BadRequest as error:
        off.append(str(error))
        return None


def _tuning(paper: Paper, results: Results, off: list[str]) -> list[Filled]:
    try:
        return tuning_runs(paper, results)
    except BadRequest as error:
        off.append(str(error))
        return []


def _concerns(problem: Problem, paper: Paper, asked: Container[tuple[str, str]]) -> bool:
    variant = problem.path.parent
    published = problem.path.suffix == ".jsonl" and problem.path.stem == paper.slug
    return published or (variant.parent.name, variant.name) in asked


def _universes(
    paper: Paper,
    seen: Scan,
    results: Results,
    filled: Iterable[Sequence[Filled]],
    off: list[str],
) -> list[Filled]:
    """The cells of its universes, of tables of which one universe has been run to its end.

    Tables share runs in universes too; of those that are not begun, cells with some run are there.
    """
    asked = {
        (f.experiment, f.variant, seed)
        for found in filled
        for f in found
        for seed in f.cell.seeds(f.asked)
    }
    others = {
        label(record)
        for record in seen.records
        if record.state == "finished"
        and (*_key(record), record.seed) not in asked
        and (record.source.stem == paper.slug or record.path is not None)
    }
    if not others:
        return []
    try:
        found = universe_cells(paper, results)
    except BadRequest as error:
        off.append(str(error))
        return []
    own = [f for f in found if not others.isdisjoint(map(label, f.records))]
    short = {(f.cell.name, f.cell.universe) for f in found if f.missing_seeds}
    begun = {f.cell.name for f in own if (f.cell.name, f.cell.universe) not in short}
    return [f for f in found if f.cell.name in begun or f in own]


def _missing(tables: Iterable[Sequence[Filled]]) -> Iterator[str]:
    """The seeds that cells lack of the number that their table states, if it has been begun."""
    for found in tables:
        if any(cell.records for cell in found):
            for cell in found:
                if cell.missing_seeds:
                    seeds = ", ".join(map(str, cell.missing_seeds))
                    what = f"the table says {cell.asked} seeds; without a record: {seeds}"
                    yield f"{cell.cell.place}: {what}"


def _misled(file: Path, results: Results, shown: Sequence[Filled]) -> Iterator[str]:
    """Cells that the index beside the paper leads to another variant than their words compose."""
    index = indexed(file)
    for words, cell in {cell.words: cell for cell in shown if not cell.is_open}.items():
        said = index.get(words)
        if said and said != (cell.experiment, cell.variant):
            is_now = f"{cell.experiment}/{cell.variant}"
            yield f"{cell.cell.place}: the index says {'/'.join(said)}, its words are {is_now}"


def misattested(seen: Scan) -> Iterator[str]:
    """What is amiss with the attestations of a tree, a line each."""
    files = (FILE, roundings.FILE)
    yield from (str(problem) for problem in seen.problems if problem.path.name in files)
    records = {r.summary.get("digest"): r for r in seen.records if r.state == "finished"}
    for each in seen.attestations:
        if (record := records.get(each.record)) and (why := misfit(each, record)):
            yield f"{FILE}: {each.experiment}/{each.variant}/seed={each.seed}: {why}"


def _changed(
    shown: Sequence[Filled], field: Literal["older", "attested"]
) -> Iterator[tuple[str, str, str, str]]:
    """Each other code behind cells, what a run done again gave, how many cells, and which."""
    places: dict[tuple[str, str], list[str]] = {}
    for cell in shown:
        seeds: Mapping[int, Mapping[str, str]] = getattr(cell, field)
        for pair in dict.fromkeys(pair for found in seeds.values() for pair in found.items()):
            places.setdefault(pair, []).append(cell.cell.place)
    for (each, says), found in places.items():
        which = ", ".join(found[:_NAMED]) + (", …" if len(found) > _NAMED else "")
        yield each, says, count(len(found), "cell"), which
