"""A finding's multiverse: the universes in which its direction is asked for, and what was found.

Each universe is the claim's own cells with a few words more (ppr/papers/universe_schema.py), run
with few seeds. All of them, sorted by the effect that they have, are a specification curve
(Simonsohn, Simmons and Nelson, Nature Human Behaviour 4, 2020). A finding is *robust* if its
direction is that of its table in every universe, and *fragile* from the first one on in which it
turns; while some have not run it is neither. Nothing is tested here: two seeds do not carry a test
in each of a handful of universes. What turns is the sign, and the intervals say how surely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ppr.errors import BadRequest
from ppr.papers.cells import Cell, Filled, Results, cells
from ppr.papers.claim_schema import Claim, Matches
from ppr.papers.defaults import Facts, equal_passes, other_metric
from ppr.papers.effects import effect, takes_another_metric
from ppr.papers.plans import plans
from ppr.papers.robustness import Multiverse, Specification
from ppr.papers.schema import Paper
from ppr.papers.table_schema import Table
from ppr.papers.universe_schema import DEFAULTS, split
from ppr.results.metrics import after_last_epoch, lower_is_better

Group = tuple[Cell, ...]

NO_CHOICE = "what the paper reports is of one setting, and so is this claim"
"""Why `matches` has no universe."""


@dataclass(frozen=True)
class Universe:
    """`groups`: the cells of each comparison, as they are there. `says`: what is otherwise.

    `seeds`: those that count; `flipped`: its metric is better where the claim's is worse.
    """

    name: str
    says: str
    groups: Sequence[Group]
    seeds: Sequence[int]
    flipped: bool = False


def universes(paper: Paper, name: str, groups: Sequence[Group], results: Results) -> list[Universe]:
    """Those of a claim over the comparisons `groups`: its table's defaults, then those stated.

    Raises:
        BadRequest: one that is stated changes no number, names a field that the cells lack, or
        asks another metric of a claim that is of a size.
    """
    claim, table = paper.claims[name], groups[0][0].table
    said = claim.universes.with_those_of(table.universes)
    if claim.kind == "identity" or said.none:
        return []
    if isinstance(claim, Matches):
        if claim.universes.named:
            raise BadRequest(f"claims.{name}.universes: {NO_CHOICE}")
        return []
    found = []
    if claim.kind == "finding" and table.scale == "desk":
        asked = [d for d in (DEFAULTS if said.only is None else said.only) if d not in said.off]
        found += [u for d in asked if (u := _default(d, claim, groups, results))]
    for title, text in said.named.items():
        where = (
            f"claims.{name}" if title in claim.universes.named else f"tables.{groups[0][0].name}"
        )
        try:
            found.append(_stated(title, split(title, text), claim, groups, results))
        except (BadRequest, ValueError) as error:
            raise BadRequest(f"{where}.universes.{title}: {error}") from None
    return found


def _default(name: str, claim: Claim, groups: Sequence[Group], results: Results) -> Universe | None:
    """None where the cells have nothing that it changes."""
    known = [[results.facts(cell) for cell in group] for group in groups]
    seeds = range(groups[0][0].table.few)
    if name == "metric":
        return _by_another_metric(claim, groups, known)
    if name == "passes":
        words = [_passes(g, facts) for g, facts in zip(groups, known, strict=True)]
        if not any(map(any, words)):
            return None
    else:
        words = [[facts.words.get(name) for facts in row] for row in known]
        if not all(word for row in words for word in row):
            return None
    there = [
        tuple(_in(name, cell, (word or "").split()) for cell, word in zip(group, row, strict=True))
        for group, row in zip(groups, words, strict=True)
    ]
    if _changes_nothing(groups, there, results):
        return None
    return Universe(name, DEFAULTS[name], there, seeds)


def _passes(group: Group, known: Sequence[Facts]) -> list[str | None]:
    """Nothing where the claim itself is of how long, or of how large a batch, one trains."""
    own = {word.partition("=")[0] for cell in group for word in cell.overrides}
    lengths = {key for facts in known for key in facts.length} | {"engine.batch_size"}
    return [None] * len(group) if own & lengths else equal_passes(known) or [None] * len(group)


def _by_another_metric(
    claim: Claim, groups: Sequence[Group], known: Sequence[Sequence[Facts]]
) -> Universe | None:
    there, names, flips = [], set(), set()
    for group, row in zip(groups, known, strict=True):
        metrics = [other_metric(c.metric, f.evaluators) for c, f in zip(group, row, strict=True)]
        for cell, metric in zip(group, metrics, strict=True):
            if metric is None:
                return None
            names.add(metric)
            flips.add(lower_is_better(metric) != lower_is_better(cell.metric))
        there.append(
            tuple(
                _by(replace(cell, universe="metric"), metric)
                for cell, metric in zip(group, metrics, strict=True)
                if metric
            )
        )
    flipped = flips == {True}
    if len(flips) > 1 or not takes_another_metric(claim, flipped=flipped):
        return None
    seeds = range(groups[0][0].table.seeds)
    return Universe("metric", f"by {', '.join(sorted(names))}", there, seeds, flipped)


def _stated(
    name: str, words: Sequence[str], claim: Claim, groups: Sequence[Group], results: Results
) -> Universe:
    said = dict(word.partition("=")[::2] for word in words)
    metric, seeds = said.get("metric"), _seeds(said.get("seed"))
    rest = [word for word in words if word.partition("=")[0] not in ("metric", "seed")]
    flips = {
        metric and lower_is_better(metric) != lower_is_better(c.metric) for g in groups for c in g
    }
    flipped = flips == {True}
    if metric and (len(flips) > 1 or not takes_another_metric(claim, flipped=flipped)):
        raise BadRequest(f"metric={metric}: the claim is of a size, which is of its own metric")
    plain = metric is not None and not rest
    few = range(groups[0][0].table.seeds if plain else groups[0][0].table.few)
    there = [
        tuple(_by(_in(name, cell, rest, seeds, plain), metric) for cell in group)
        for group in groups
    ]
    if not metric and seeds is None and _changes_nothing(groups, there, results):
        raise BadRequest(f"{' '.join(words)}: is so in each cell already, and changes no number")
    return Universe(name, " ".join(words), there, few if seeds is None else seeds, flipped)


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        found = [int(seed) for seed in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise BadRequest(f"seed={text}: whole numbers from 0 on, as seed=1,2,3")
    return found


def _in(
    universe: str,
    cell: Cell,
    words: Sequence[str],
    seeds: Sequence[int] | None = None,
    all_seeds: bool = False,
) -> Cell:
    """The cell as it is in a universe, whose seeds are its whole plan."""
    few = cell.table.seeds if all_seeds else cell.table.few
    planned = few if seeds is None else len(seeds)
    table: Table = cell.table.model_copy(update={"seeds": planned, "looks": ()})
    own = tuple(seeds or ())
    return replace(cell, table=table, extra=tuple(words), universe=universe, own_seeds=own)


def _by(cell: Cell, metric: str | None) -> Cell:
    return replace(cell, metric=metric) if metric else cell


def _changes_nothing(here: Sequence[Group], there: Sequence[Group], results: Results) -> bool:
    pairs = [pair for two in zip(here, there, strict=True) for pair in zip(*two, strict=True)]
    return all(results.variant(one) == results.variant(other) for one, other in pairs)


def multiverse(paper: Paper, name: str, groups: Sequence[Group], results: Results) -> Multiverse:
    """What the runs say in each universe of a claim."""
    claim, table = paper.claims[name], groups[0][0].table
    said = claim.universes.with_those_of(table.universes)
    none = said.none or (NO_CHOICE if isinstance(claim, Matches) else "")
    try:
        asked = universes(paper, name, groups, results)
        own = [tuple(map(results.fill, group)) for group in groups]
        found = tuple(_found(each, claim, own, results) for each in asked)
    except BadRequest as error:
        return Multiverse(off=said.off, none=none, problem=str(error))
    here = None if isinstance(claim, Matches) else effect(claim, own)
    return Multiverse(here, found, said.off, none)


def _found(
    universe: Universe, claim: Claim, own: Sequence[tuple[Filled, ...]], results: Results
) -> Specification:
    groups = [tuple(map(results.fill, group)) for group in universe.groups]
    every = {(f.experiment, f.variant): f for group in groups for f in group}
    done = sum(len((f.samples.keys() | f.undefined) & {*universe.seeds}) for f in every.values())
    asked = len(every) * len(universe.seeds)
    kept = [tuple(_of(f, universe.seeds) for f in group) for group in groups]
    there = done >= asked and all(f.samples for group in kept for f in group)
    found = effect(claim, kept, flipped=universe.flipped) if there else None
    same = there and _same(kept, own)
    return Specification(universe.name, universe.says, asked, done, found, same)


def _of(filled: Filled, seeds: Sequence[int]) -> Filled:
    return replace(filled, samples={s: v for s, v in filled.samples.items() if s in seeds})


def _same(there: Sequence[tuple[Filled, ...]], here: Sequence[tuple[Filled, ...]]) -> bool:
    """Whether each seed that both have measured the very same, though the configs differ."""
    compared = False
    for one, other in (p for two in zip(there, here, strict=True) for p in zip(*two, strict=True)):
        if one.variant != other.variant:
            known = {record.seed: record.summary for record in other.records}
            for record in one.records:
                if record.seed in known:
                    compared = True
                    if after_last_epoch(record.summary) != after_last_epoch(known[record.seed]):
                        return False
    return compared


def filled(paper: Paper, results: Results) -> list[Filled]:
    """The cells of every universe with their runs, but those that are cells of a table too.

    Raises:
        BadRequest: as `universes`; or a metric that no run has.
    """
    shown = [cell for name, table in paper.tables.items() for cell in cells(name, table)]
    own = {results.variant(cell): cell.table.seeds for cell in shown if _is_there(cell, results)}
    found = {}
    for cell in planned(paper, results):
        shown_too = range(own.get(results.variant(cell), 0))
        if any(seed not in shown_too for seed in cell.seeds(cell.table.seeds)):
            one = results.fill(cell)
            found[(*results.variant(cell), cell.metric)] = one
    return [*found.values()]


def _is_there(cell: Cell, results: Results) -> bool:
    try:
        results.variant(cell)
    except BadRequest:  # its experiment is yet to come
        return False
    return True


def planned(paper: Paper, results: Results) -> Iterator[Cell]:
    """The cells of every universe of every claim, once each.

    Raises:
        BadRequest: as `universes`.
    """
    seen = set()
    for name, groups in plans(paper).items():
        if not all(_is_there(cell, results) for group in groups for cell in group):
            continue
        for universe in universes(paper, name, groups, results):
            for cell in (cell for group in universe.groups for cell in group):
                key = results.words(cell), cell.metric, cell.seeds(cell.table.seeds)
                if key not in seen:
                    seen.add(key)
                    yield cell
