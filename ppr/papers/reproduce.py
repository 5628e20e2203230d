"""What is to be run for a paper's tables: each missing seed of each cell, inputs first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ppr.config import code
from ppr.config.composed import Config
from ppr.errors import BadRequest, choices
from ppr.papers.cells import Filled, Results, cells
from ppr.papers.multiverse import filled
from ppr.papers.parts import Part
from ppr.papers.schema import Paper
from ppr.papers.table_schema import Table
from ppr.papers.tuned import check_metric, tuning_runs
from ppr.papers.words import composed
from ppr.results.finished import finished_summary, is_finished

Key = tuple[str, str, int]
"""Experiment, variant and seed: a run's place in the results tree."""


def narrowed(paper: Paper, table: str, scale: str | None, seeds: int | None) -> Paper:
    """The paper with the tables asked for alone, of one scale, and the claims about them.

    Raises:
        BadRequest: no such table, or none of that scale.
    """
    if table and table not in paper.tables:
        raise BadRequest(f"{paper.slug}/{table}: no such table; {choices(table, paper.tables)}")
    named = {table: paper.tables[table]} if table else paper.tables
    wanted = scale or (paper.tables[table].scale if table else "desk")
    chosen = {name: found for name, found in named.items() if found.scale == wanted}
    if not chosen:
        known = ", ".join(f"{name} is {found.scale}" for name, found in named.items())
        what = known or "it has no tables yet"
        raise BadRequest(f"{paper.slug}: no table of scale {wanted} to reproduce; {what}")
    if seeds is not None:
        chosen = {n: _planned(f"{paper.slug}/{n}", t, seeds) for n, t in chosen.items()}
    claims = {
        name: claim
        for name, claim in paper.claims.items()
        if all(reference.partition(".")[0] in chosen for reference in claim.cells)
    }
    return paper.model_copy(update={"tables": chosen, "claims": claims})


def _planned(name: str, table: Table, seeds: int) -> Table:
    """The table, to be run with so many seeds: a part of its plan, or a later look of it."""
    if seeds <= table.seeds:
        return table
    if seeds in table.looks:
        return table.model_copy(update={"seeds": seeds})
    if table.looks:
        known = ", ".join(map(str, table.looks))
        raise BadRequest(f"--seeds {seeds}: the looks of {name} are {known}")
    raise BadRequest(
        f"--seeds {seeds}: {name} states {table.seeds}, and its claims are judged on no others; "
        f"to look twice, its file says so beforehand: `looks: [{table.seeds}, {seeds}]`"
    )


def cells_of(part: Part, paper: Paper, tables: Sequence[str], results: Results) -> list[Filled]:
    """The cells of some tables that one part of a reproduction runs.

    Raises:
        BadRequest: a universe that is stated changes no number, or names what is not there.
    """
    if part == "tuning":
        return [cell for cell in tuning_runs(paper, results) if cell.cell.name in tables]
    if part == "universes":
        return [cell for cell in filled(paper, results) if cell.cell.name in tables]
    return [results.fill(c) for name in tables for c in cells(name, paper.tables[name])]


@dataclass(frozen=True)
class Agenda:
    """The runs behind some cells. `waves`: those to do, each after the waves before it.

    `later`: those whose row is still to be tuned, as they are at the first point of its grid.
    """

    total: int
    waves: Sequence[Sequence[Config]]
    later: Sequence[Config] = ()

    @property
    def missing(self) -> list[Config]:
        return [config for wave in self.waves for config in wave]


def agenda(
    cells: Iterable[Filled],
    words: Sequence[str] = (),
    *,
    renew: bool = False,
    most: int | None = None,
) -> Agenda:
    """What is to be run so that every cell has its seeds; `renew`: made by today's code.

    `most`: of each cell the first so many seeds alone.

    `words` say where and how fast, and nothing that changes a result.

    Raises:
        BadRequest: `words` do; or inputs that go round in a circle.
    """
    done: set[tuple[str, str, int]] = set()
    missing: dict[Key, Config] = {}
    later: dict[Key, Config] = {}
    for cell in cells:
        for seed in cell.cell.seeds(min(cell.asked, most or cell.asked)):
            done_before = seed in cell.samples or seed in cell.undefined
            if done_before and not (renew and seed in cell.older):
                done.add((cell.experiment, cell.variant, seed))
                continue
            config = composed([*cell.words, f"seed={seed}", *words])
            if cell.is_open:
                later.setdefault(_key(config), config)
                continue
            if cell.cell.tuned_at:
                check_metric(cell.cell, config)
            if config.variant != cell.variant:
                said = " ".join(words)
                raise BadRequest(
                    f"{said}: changes the results of {cell.experiment}; only settings of where "
                    "and how fast can be given (launcher, tracker, data.root, engine.device, …)"
                )
            missing.setdefault(_key(config), config)
    for config in list(missing.values()):
        for each in config.needed():
            if not is_finished(each) or (renew and is_older(each)):
                missing.setdefault(_key(each), each)
    depths: dict[Key, int] = {}
    for config in missing.values():
        _set_depth(config, missing, depths)
    waves: list[list[Config]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for key, config in missing.items():
        waves[depths[key]].append(config)
    return Agenda(len(done) + len(missing) + len(later), waves, [*later.values()])


def is_older(config: Config) -> bool:
    """Whether the run of a config has been done, with other code than today's."""
    done = finished_summary(config) if is_finished(config) else None
    return done is not None and bool(code.outdated(code.recorded(done)))


def _key(config: Config) -> Key:
    return config.experiment, config.variant, config.seed


def _set_depth(config: Config, missing: Mapping[Key, Config], depths: dict[Key, int]) -> int:
    """How many waves must come before a run: one more than before any input that is missing."""
    key = _key(config)
    if key not in depths:
        before = [each for each in config.inputs.values() if _key(each) in missing]
        depths[key] = 1 + max((_set_depth(each, missing, depths) for each in before), default=-1)
    return depths[key]
