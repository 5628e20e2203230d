"""Claims against results: reproduced, not reproduced, inconclusive or not run.

A claim is a conjunction of trials (one a column, or one a step of `monotone`), each a t statistic
with two kinds of hypothesis:

    claim                         supported by            opposed by (any one)
    greater [margin m]            difference > m          difference < m
    less                          the same, the two cells exchanged
    equal, tolerance t            > -t and < t (TOST)     > t, < -t
    matches, tolerance t          mean - reported as equal; t is widened by how the value was read
                                  and by the paper's half-width
    monotone                      `greater` between each two neighbours
    ratio at_least r              a - r b > 0             a - r b < 0, where b > 0 is significant

where m is the margin or, if that is larger, what the claim calls negligible: one bound for both
hypotheses, so that seeds added to a true difference settle one verdict and never turn it round.

Reproduced: everything supporting is significant at 5 %, so its p-value is the largest of them (an
intersection-union test needs no correction). Not reproduced: something opposing is, its p-values
Bonferroni-corrected among themselves. Both are Holm-corrected over the claims of one table, those
without runs counting as p = 1, so that a verdict cannot change because another claim was run.
Otherwise inconclusive. `exact` is decided by each run, without statistics; and cells that no seed
moves, nor anything else that their runs measure, are compared as they are.

A claim is judged once every cell of it has all the seeds that its table states, not before, and at
the looks that the table declares (ppr/papers/looks.py), if it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ppr.errors import BadRequest
from ppr.papers import doubts
from ppr.papers.cells import Cell, Filled, Results, cells
from ppr.papers.claim_schema import Exact
from ppr.papers.comparisons import LEVEL, POWER, holm, seeds_needed
from ppr.papers.exact import exact
from ppr.papers.looks import Group, Look, at_look, looks, price, wanting
from ppr.papers.multiverse import multiverse
from ppr.papers.plans import plans
from ppr.papers.schema import Paper
from ppr.papers.trials import Bound, Trial, trial
from ppr.papers.tuning import AT_EDGE, at_edge
from ppr.papers.verdict import UNTUNED, Outcome, Verdict

_EXACT: dict[bool | None, Outcome] = {
    True: "reproduced",
    False: "not reproduced",
    None: "inconclusive",
}


def judge(paper: Paper, results: Results) -> list[Verdict]:
    """The verdict on every claim of a paper, Holm-corrected table by table.

    A claim over a cell that cannot be filled, its experiment yet to come, is not run, and says so.
    """
    planned = plans(paper)
    tables = {name: groups[0][0].name for name, groups in planned.items()}
    filled: dict[str, list[tuple[Filled, ...]]] = {}
    broken: dict[str, str] = {}
    for name, groups in planned.items():
        try:
            filled[name] = [tuple(map(results.fill, group)) for group in groups]
        except BadRequest as error:
            broken[name] = str(error)
    verdicts: dict[str, Verdict] = {}
    for table in dict.fromkeys(tables.values()):
        family = {name: filled.get(name) for name in planned if tables[name] == table}
        tested = {n: g for n, g in family.items() if not isinstance(paper.claims[n], Exact)}
        stages = _stages(paper, tested)
        for name, cut in family.items():
            claim, scale = paper.claims[name], paper.tables[table].scale
            about = (name, claim.says, claim.test, scale, table)
            if cut is None:
                verdicts[name] = Verdict(*about, "not run", broken[name])
            elif not all(cell.samples for group in cut for cell in group):
                verdicts[name] = Verdict(*about, "not run", _without_runs(cut))
            elif isinstance(claim, Exact):
                holds, reason = exact(claim, cut)
                verdicts[name] = Verdict(*about, _EXACT[holds], reason)
            elif not stages[name]:
                reason = f"{wanting(cut)}: judged on all of them, not before"
                verdicts[name] = Verdict(*about, "inconclusive", reason)
            else:
                found = _decide(stages[name], looks(cut), len(tested), about)
                verdicts[name] = _advise(found, paper, results)
            if cut and (far := _far(cut)) and not isinstance(claim, Exact):
                found = verdicts[name]
                verdicts[name] = replace(found, reason=f"{found.reason}; {far}")
            if cut:
                asked = multiverse(paper, name, planned[name], results)
                found = _without_rounding(verdicts[name], cut)
                verdicts[name] = replace(found, multiverse=asked)
            rest_on = [cell.choice for group in cut or () for cell in group]
            if claim.kind == "finding" and (edges := at_edge(rest_on)):
                reason = f"{verdicts[name].reason}; {UNTUNED}: {AT_EDGE}: {'; '.join(edges)}"
                verdicts[name] = replace(verdicts[name], at_edge=edges, reason=reason)
    return [verdicts[name] for name in paper.claims]


@dataclass(frozen=True)
class _Stage:
    """A claim's statistics at one look, and its p-values over all looks so far and the table."""

    trials: list[Trial]
    look: Look


def _stages(paper: Paper, family: Mapping[str, Sequence[Group] | None]) -> dict[str, list[_Stage]]:
    """The looks at each of the claims of a table for which their cells have the seeds."""
    planned = {name: looks(groups) if groups else 1 for name, groups in family.items()}
    taken: dict[str, list[tuple[int, list[Trial]]]] = {name: [] for name in family}
    for name, groups in family.items():
        for number in range(planned[name]):
            cut = at_look(groups, number) if groups else None
            if not cut or not all(cell.samples for group in cut for cell in group):
                break
            seeds = cut[0][0].cell.table.look(number)
            taken[name].append((seeds, [trial(paper.claims[name], group) for group in cut]))
    found: dict[str, list[_Stage]] = {name: [] for name in family}
    for stage in range(max(map(len, taken.values()), default=0)):
        so_far = {name: [t for _, t in each[: stage + 1]] for name, each in taken.items()}
        p_for, p_against = (
            holm([_spent(planned[n], map(p_value, so_far[n])) for n in family])
            for p_value in (_p_for, _p_against)
        )
        for at, (name, each) in enumerate(taken.items()):
            if stage < len(each):
                seeds, trials = each[stage]
                found[name].append(_Stage(trials, Look(seeds, p_for[at], p_against[at])))
    return found


def _spent(planned: int, p_values: Iterable[float]) -> float:
    """The p-value over the looks taken of those planned: 1 if none was."""
    return min(1.0, planned * min(p_values, default=1.0))


def _p_for(trials: list[Trial]) -> float:
    if any(trial.obstacle for trial in trials):
        return 1.0
    return max(bound.p_value(trial.shift) for trial in trials for bound in trial.support)


def _p_against(trials: list[Trial]) -> float:
    p_values = [b.p_value(t.shift) for t in trials if not t.obstacle for b in t.oppose]
    tried = sum(len(trial.oppose) for trial in trials)
    return min(1.0, tried * min(p_values, default=1.0))


def _decide(
    stages: Sequence[_Stage], planned: int, family: int, about: tuple[str, str, str, str, str]
) -> Verdict:
    """The verdict of the first look that decides, else of the last that was taken."""
    for number, stage in enumerate(stages, start=1):
        trials, look = stage.trials, stage.look
        p_values = look.p_for, look.p_against
        taken = tuple(each.look for each in stages[:number]) if planned > 1 else ()
        told = "; ".join(map(str, trials))
        at = f"; look {number} of {planned}" if planned > 1 else ""
        if look.p_for < LEVEL:
            reason = (
                f"{told}: shown, {_chance(trials, look.p_for)}{at}{_if_skewed(trials, look.p_for)}"
            )
            return Verdict(*about, "reproduced", reason, *p_values, looks=taken)
        if look.p_against < LEVEL:
            doubt = _if_skewed(trials, look.p_against, against=True)
            reason = f"{told}: {_refuted(trials, look.p_against)}{at}{doubt}"
            return Verdict(*about, "not reproduced", reason, *p_values, looks=taken)
    obstacles = [f"{trial.label}: {trial.obstacle}" for trial in trials if trial.obstacle]
    if obstacles:
        return Verdict(*about, "inconclusive", "; ".join(obstacles) + at, *p_values, looks=taken)
    needed, side = _seeds_needed(trials, LEVEL / family / planned)
    if needed is None:
        need = "more than 1000 seeds would be needed to decide so small a difference"
    else:
        need = f"about {needed} seeds a cell would likely decide it, {side} the claim"
    p_told = f"p = {look.p_for:.2g} for it and {look.p_against:.2g} against"
    reason = f"{told}: not decided, {p_told}{at}; {need}"
    return Verdict(*about, "inconclusive", reason, *p_values, needed, taken)


def _without_rounding(found: Verdict, groups: Sequence[Group]) -> Verdict:
    """No verdict rests on a cell that another order of the same sums turns."""
    turns = {f.cell.place: doubts.seeds(f.turns) for group in groups for f in group if f.turns}
    if not turns:
        return found
    told = "; ".join(f"{place} ({which})" for place, which in turns.items())
    reason = f"{found.reason}; rests on what turns with the rounding: {told}"
    outcome: Outcome = "not run" if found.outcome == "not run" else "inconclusive"
    return replace(found, outcome=outcome, reason=reason)


def _far(groups: Sequence[Group]) -> str:
    """The seeds that lie far from the others of their cell, which no test of means foresees."""
    cells_ = {filled.cell.place: filled.far for group in groups for filled in group if filled.far}
    told = (f"{place} seed {', '.join(map(str, far))}" for place, far in cells_.items())
    return f"far from the other seeds: {'; '.join(told)}" if cells_ else ""


def _advise(found: Verdict, paper: Paper, results: Results) -> Verdict:
    """An open verdict with what may be done about it: the next look, or no more at this table."""
    if found.outcome != "inconclusive":
        return found
    table = paper.tables[found.table]
    later = [seeds for seeds in table.plan if seeds > found.looks[-1].seeds] if found.looks else []
    if later:
        filled = [f for cell in cells(found.table, table) if (f := _filled(results, cell))]
        cost = price(filled, later[0])
        command = f"ppr reproduce {paper.slug}/{found.table} --seeds {later[0]}"
        advice = f"next look at {later[0]} seeds: {cost}: {command}"
    elif found.looks:
        advice = "the last look is taken"
    elif found.seeds_needed is None:
        return found
    else:
        advice = (
            "seeds added to this table would be a second test at the same level: "
            "that wants a fresh table, or `looks` declared before the first"
        )
    return replace(found, reason=f"{found.reason}; {advice}")


def _filled(results: Results, cell: Cell) -> Filled | None:
    try:
        return results.fill(cell)
    except BadRequest:  # its experiment is yet to come, so it has no price
        return None


def _if_skewed(trials: list[Trial], p_value: float, *, against: bool = False) -> str:
    """Said of a verdict that does not stand if the skew of its seeds counts."""
    tested = [trial for trial in trials if trial.lopsided and not trial.obstacle]
    if not tested:
        return ""
    bounds = [(t.shift, b) for t in tested for b in (t.oppose if against else t.support)]
    worst = min if against else max
    plain = worst(bound.p_value(shift) for shift, bound in bounds)
    skewed = worst(max(b.p_value(shift), b.p_skewed(shift)) for shift, b in bounds)
    corrected = min(1.0, skewed * (p_value / plain if plain else 1.0))
    if corrected < LEVEL:
        return ""
    return f"; but not if the skew of these seeds counts: p = {corrected:.2g}"


def _chance(trials: list[Trial], p_value: float) -> str:
    certain = all(trial.shift.certain for trial in trials)
    return "no seed moves it" if certain else f"p = {p_value:.2g}"


def _refuted(trials: list[Trial], p_against: float) -> str:
    """What was shown against a claim: the opposite only where that is significant as well."""
    tested = [trial for trial in trials if not trial.obstacle]
    tried = sum(len(trial.oppose) for trial in trials)
    worst = min(tested, key=lambda t: min(bound.p_value(t.shift) for bound in t.oppose))
    where = f" of {worst.name}" if len(trials) > 1 else ""
    if worst.opposite is None:
        return f"shown not to be so{where}, {_chance(trials, p_against)}"
    if worst.support[0].at == worst.opposite or tried * worst.p_opposite() < LEVEL:
        return f"the opposite is shown{where}, p = {p_against:.2g}"
    return f"the margin is shown to be missed{where}, p = {p_against:.2g}"


def _without_runs(groups: Sequence[tuple[Filled, ...]]) -> str:
    empty = [filled for group in groups for filled in group if not filled.samples]
    untuned = dict.fromkeys(filled.cell.row for filled in empty if filled.is_open)
    if untuned:
        return f"the tuning of {', '.join(untuned)} is not complete"
    return "no finished run of " + ", ".join(sorted({filled.cell.place for filled in empty}))


def _seeds_needed(trials: list[Trial], level: float) -> tuple[int | None, str]:
    """How many seeds a cell would likely decide a claim, if means and spreads stay as they are,
    and whether they would be `for` it or `against`.

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
    return seeds_needed(trial.shift, distance, level, power) if distance > 0 else None
