"""Claims against results: reproduced, not reproduced, inconclusive or not run.

A claim is a conjunction of trials (one a column, or one a step of `monotone`), each a t statistic
with two kinds of hypothesis:

    claim                         supported by            opposed by (any one)
    greater [margin m]            difference > m          difference < m
    less                          the same, the two cells exchanged
    equal, tolerance t            > -t and < t (TOST)     > t, < -t
    matches, tolerance t          mean - reported as equal; t is widened by the paper's half-width
    monotone                      `greater` between each two neighbours
    ratio at_least r              a - r b > 0             a - r b < 0, where b > 0 is significant

where m is the margin or, if that is larger, what the claim calls negligible: one bound for both
hypotheses, so that seeds added to a true difference settle one verdict and never turn it round.

Reproduced: everything supporting is significant at 5 %, so its p-value is the largest of them (an
intersection-union test needs no correction). Not reproduced: something opposing is, its p-values
Bonferroni-corrected among themselves. Both are Holm-corrected over the claims of one table, those
without runs counting as p = 1, so that a verdict cannot change because another claim was run.
Otherwise inconclusive. `exact` is decided by each run, without statistics.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ppr.errors import BadRequest
from ppr.papers.cells import Cell, Filled, Results, refer
from ppr.papers.comparisons import LEVEL, POWER, holm, seeds_needed
from ppr.papers.schema import Claim, Exact, Matches, Monotone, Paper
from ppr.papers.trials import Bound, Trial, trial

Outcome = Literal["reproduced", "not reproduced", "inconclusive", "not run"]
OUTCOMES: tuple[Outcome, ...] = ("reproduced", "not reproduced", "inconclusive", "not run")


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a claim. `more_seeds`: how many in each cell would likely decide it."""

    claim: str
    says: str
    test: str
    scale: str
    table: str
    outcome: Outcome
    reason: str
    p_for: float | None = None
    p_against: float | None = None
    more_seeds: int | None = None


def plan(paper: Paper, name: str) -> list[tuple[Cell, ...]]:
    """The cells that each trial of a claim compares.

    Raises:
        BadRequest: a table, row or column that is not there; cells that cannot be compared.
    """
    claim = paper.claims[name]
    try:
        groups = _groups(claim, [refer(paper, text, claim.metric) for text in claim.cells])
        for group in groups:
            where = ", ".join(cell.place for cell in group)
            _same(f"{where} are of different metrics", {cell.meaning for cell in group})
            _same(f"{where} are of different units", {cell.table.unit for cell in group})
        scales = {cell.table.scale for group in groups for cell in group}
        _same("its cells are of different scales", {str(scale) for scale in scales})
    except BadRequest as error:
        raise BadRequest(f"claims.{name}: {error}") from None
    return groups


def _same(complaint: str, kinds: set[str]) -> None:
    if len(kinds) > 1:
        raise BadRequest(f"{complaint}: {', '.join(sorted(kinds))}")


def _groups(claim: Claim, referred: list[list[Cell]]) -> list[tuple[Cell, ...]]:
    first, *others = referred
    if isinstance(claim, Matches):
        reported: list[tuple[Cell, ...]]
        reported = [(cell,) for cells in referred for cell in cells if cell.reported]
        if not reported:
            raise BadRequest("the paper reports no value for its cells")
        return reported
    if isinstance(claim, Monotone):
        if not others:
            referred = [[cell] for cell in first]
        if len(referred) < 2 or len({cell.row for cell in first}) > 1:
            raise BadRequest("needs one row with several columns, or several cells in order")
        return [pair for two in itertools.pairwise(referred) for pair in _zip(*two)]
    if isinstance(claim, Exact) and (claim.value is not None or claim.bound is not None):
        return [(cell,) for cells in referred for cell in cells]
    if not others:
        return [(cell,) for cell in first]
    return _zip(first, others[0])


def _zip(first: list[Cell], second: list[Cell]) -> list[tuple[Cell, ...]]:
    """Pair row with row column by column, or one cell with one."""
    if len(first) != len(second):
        raise BadRequest(f"{len(first)} cells against {len(second)}: name the columns too")
    if len(first) > 1 and [c.column for c in first] != [c.column for c in second]:
        raise BadRequest("the rows have different columns: name the columns too")
    return list(zip(first, second, strict=True))


def check_claims(paper: Paper) -> None:
    """Refuse claims over cells that are not there or cannot be compared."""
    for name in paper.claims:
        plan(paper, name)


def judge(paper: Paper, results: Results) -> list[Verdict]:
    """The verdict on every claim of a paper, Holm-corrected table by table.

    A claim over a cell that cannot be filled, its experiment yet to come, is not run, and says so.
    """
    plans = {name: plan(paper, name) for name in paper.claims}
    tables = {name: groups[0][0].name for name, groups in plans.items()}
    filled: dict[str, list[tuple[Filled, ...]]] = {}
    broken: dict[str, str] = {}
    for name, groups in plans.items():
        try:
            filled[name] = [tuple(map(results.fill, group)) for group in groups]
        except BadRequest as error:
            broken[name] = str(error)
    verdicts: dict[str, Verdict] = {}
    for table in dict.fromkeys(tables.values()):
        family = [name for name in plans if tables[name] == table]
        tested = [name for name in family if not isinstance(paper.claims[name], Exact)]
        trials = {name: _trials(paper.claims[name], filled.get(name)) for name in tested}
        p_for = dict(zip(tested, holm([_p_for(trials[n]) for n in tested]), strict=True))
        p_against = dict(zip(tested, holm([_p_against(trials[n]) for n in tested]), strict=True))
        for name in family:
            claim, scale = paper.claims[name], paper.tables[table].scale
            about = (name, claim.says, claim.test, scale, table)
            if name in broken:
                verdicts[name] = Verdict(*about, "not run", broken[name])
            elif isinstance(claim, Exact):
                verdicts[name] = _exact(claim, filled[name], about)
            else:
                p_values = p_for[name], p_against[name]
                verdicts[name] = _decide(filled[name], trials[name], p_values, len(tested), about)
    return [verdicts[name] for name in paper.claims]


def _trials(claim: Claim, groups: Sequence[tuple[Filled, ...]] | None) -> list[Trial] | None:
    """The claim's statistics; None where a cell has no run."""
    if groups is None or not all(cell.samples for group in groups for cell in group):
        return None
    return [trial(claim, group) for group in groups]


def _p_for(trials: list[Trial] | None) -> float:
    if trials is None or any(trial.obstacle for trial in trials):
        return 1.0
    return max(bound.p_value(trial.shift) for trial in trials for bound in trial.support)


def _p_against(trials: list[Trial] | None) -> float:
    if trials is None:
        return 1.0
    p_values = [b.p_value(t.shift) for t in trials if not t.obstacle for b in t.oppose]
    tried = sum(len(trial.oppose) for trial in trials)
    return min(1.0, tried * min(p_values, default=1.0))


def _decide(
    groups: Sequence[tuple[Filled, ...]],
    trials: list[Trial] | None,
    p_values: tuple[float, float],
    family: int,
    about: tuple[str, str, str, str, str],
) -> Verdict:
    if trials is None:
        return Verdict(*about, "not run", _without_runs(groups))
    p_for, p_against = p_values
    told = "; ".join(map(str, trials))
    if p_for < LEVEL:
        return Verdict(*about, "reproduced", f"{told}: shown, p = {p_for:.2g}", *p_values)
    if p_against < LEVEL:
        return Verdict(
            *about, "not reproduced", f"{told}: {_refuted(trials, p_against)}", *p_values
        )
    obstacles = [f"{trial.label}: {trial.obstacle}" for trial in trials if trial.obstacle]
    if obstacles:
        return Verdict(*about, "inconclusive", "; ".join(obstacles), *p_values)
    more, side = _more_seeds(trials, LEVEL / family)
    if more is None:
        need = "more than 1000 seeds would be needed to decide so small a difference"
    else:
        need = f"{more} more seeds in each cell would likely decide it, {side} the claim"
    reason = f"{told}: not decided, p = {p_for:.2g} for it and {p_against:.2g} against; {need}"
    return Verdict(*about, "inconclusive", reason, *p_values, more)


def _refuted(trials: list[Trial], p_against: float) -> str:
    """What was shown against a claim: the opposite only where that is significant as well."""
    tested = [trial for trial in trials if not trial.obstacle]
    tried = sum(len(trial.oppose) for trial in trials)
    worst = min(tested, key=lambda t: min(bound.p_value(t.shift) for bound in t.oppose))
    where = f" of {worst.name}" if len(trials) > 1 else ""
    if worst.opposite is None:
        return f"shown not to be so{where}, p = {p_against:.2g}"
    if worst.support[0].at == worst.opposite or tried * worst.p_opposite() < LEVEL:
        return f"the opposite is shown{where}, p = {p_against:.2g}"
    return f"the margin is shown to be missed{where}, p = {p_against:.2g}"


def _without_runs(groups: Sequence[tuple[Filled, ...]]) -> str:
    empty = {filled.cell.place for group in groups for filled in group if not filled.samples}
    return "no finished run of " + ", ".join(sorted(empty))


def _more_seeds(trials: list[Trial], level: float) -> tuple[int | None, str]:
    """How many seeds more would likely decide a claim, if means and spreads stay as they are, and
    whether they would be `for` it or `against`.

    One opposing trial refutes a claim, so the cheapest of those decides; else all must support it.
    """
    tried = sum(len(trial.oppose) for trial in trials)
    against = [(t, b) for t in trials for b in t.oppose if b.distance(t.shift) > 0]
    if against:
        needed = [_seeds(trial, bound, level / tried) for trial, bound in against]
        return min((n for n in needed if n is not None), default=None), "against"
    needed = [_seeds(trial, bound, level) for trial in trials for bound in trial.support]
    known = [n for n in needed if n is not None]
    return (max(known) if len(known) == len(needed) else None), "for"


def _seeds(trial: Trial, bound: Bound, level: float) -> int | None:
    distance = bound.distance(trial.shift)
    # Two bounds to show at once, as for `equal`, share the risk of missing one.
    power = 1 - (1 - POWER) / len(trial.support)
    total = seeds_needed(trial.shift, distance, level, power) if distance > 0 else None
    return max(1, total - min(n for _, n in trial.shift.parts)) if total else None


def _exact(
    claim: Exact, groups: Sequence[tuple[Filled, ...]], about: tuple[str, str, str, str, str]
) -> Verdict:
    """Every run within `precision` of the truth, relative to it (absolute where it is 0)."""
    if not all(filled.samples for group in groups for filled in group):
        return Verdict(*about, "not run", _without_runs(groups))
    found = [
        (
            _beyond(claim, value, truth) / (abs(truth) or 1.0),
            group[0].cell.place,
            seed,
            value,
            truth,
        )
        for group in groups
        for seed, value in group[0].samples.items()
        if (truth := _truth(claim, group, seed)) is not None
    ]
    if not found:
        return Verdict(*about, "inconclusive", "the two cells have no seed in common")
    error, place, seed, value, truth = max(found, key=lambda run: run[0])
    outcome: Outcome = "reproduced" if error <= claim.precision else "not reproduced"
    side = "at least " if claim.at_least is not None else "at most " * (claim.at_most is not None)
    reason = (
        f"worst of {len(found)} runs, {place} seed={seed}: {value:.6g}, {side}{truth:.6g} asked"
    )
    if error > 0 or claim.bound is None:
        of_it = " of it" if truth else ""
        reason += f"; off by {error:.2g}{of_it}, {claim.precision:g} allowed"
    return Verdict(*about, outcome, reason)


def _beyond(claim: Exact, value: float, truth: float) -> float:
    """How far a value is from the truth; of a bound, on its wrong side, so negative within it."""
    if claim.at_least is not None:
        return truth - value
    return value - truth if claim.at_most is not None else abs(value - truth)


def _truth(claim: Exact, group: tuple[Filled, ...], seed: int) -> float | None:
    if claim.value is not None:
        return claim.value
    return claim.bound if claim.bound is not None else group[1].samples.get(seed)
