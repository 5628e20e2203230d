"""Verdicts by what their claims are: findings, the paper contradicted, checks of the code.

An identity that holds says that ppr computes what it should, and nothing of the paper; it is never
counted among what a paper's findings reproduce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ppr.papers.robustness import Robustness
from ppr.papers.verdict import OUTCOMES, UNTUNED

if TYPE_CHECKING:
    from ppr.papers.claim_schema import Kind
    from ppr.papers.schema import Paper
    from ppr.papers.verdict import Outcome, Verdict

Counts = dict[str, dict[str, int]]
"""Kind of claim -> outcome -> how many. The kind UNTUNED counts the findings that are untuned, and
those of ROBUSTNESS those whose direction other universes have shown to persist, or to turn, or are
still to show. They are among the findings too."""

ROBUSTNESS: tuple[Robustness, ...] = ("robust", "fragile", "not asked")
_NAMES: dict[Kind, dict[Outcome, str]] = {
    "finding": {},
    "against": {
        "reproduced": "contradicted",
        "not reproduced": "not contradicted",
    },
    "identity": {"reproduced": "check passed", "not reproduced": "check failed"},
}


def named(kind: Kind, outcome: Outcome) -> str:
    """What a verdict is called: a check of the code passes, a paper is contradicted."""
    return _NAMES[kind].get(outcome, outcome)


def is_untuned(paper: Paper, verdict: Verdict) -> bool:
    """Whether it is of a finding over cells whose settings are neither tuned nor the paper's own.

    What was chosen at an edge of its grid is not tuned.
    """
    from ppr.papers.plans import plan

    return paper.claims[verdict.claim].kind == "finding" and (
        bool(verdict.at_edge)
        or any(
            cell.table.settings_of(cell.row, cell.column) == "untuned"
            for group in plan(paper, verdict.claim)
            for cell in group
        )
    )


def described(paper: Paper, verdict: Verdict) -> str:
    """A verdict's name, and beside it whether the claim is untuned, robust or fragile."""
    marks = [UNTUNED] if is_untuned(paper, verdict) else []
    if (known := robustness(paper, verdict)) and known != "not asked":
        marks.append(known)
    return ", ".join([named(paper.claims[verdict.claim].kind, verdict.outcome), *marks])


def robustness(paper: Paper, verdict: Verdict) -> Robustness:
    """Of a finding that is decided; empty where no universe makes sense."""
    if paper.claims[verdict.claim].kind != "finding":
        return ""
    return verdict.multiverse.robustness(verdict.outcome)


def tally(paper: Paper, verdicts: Sequence[Verdict]) -> dict[str, Counts]:
    """Scale -> kind -> outcome -> how many claims."""
    found: dict[str, Counts] = {}
    for verdict in verdicts:
        kinds = found.setdefault(verdict.scale, {})
        kind: str = paper.claims[verdict.claim].kind
        marks = [UNTUNED] if is_untuned(paper, verdict) else []
        for key in filter(None, (kind, *marks, robustness(paper, verdict))):
            counted = kinds.setdefault(key, {})
            counted[verdict.outcome] = counted.get(verdict.outcome, 0) + 1
    return found


def added(tallies: Iterable[Mapping[str, Mapping[str, int]]]) -> Counts:
    """The sum of some papers' counts at one scale."""
    found: Counts = {}
    for kinds in tallies:
        for kind, counts in kinds.items():
            summed = found.setdefault(kind, {})
            for outcome, number in counts.items():
                summed[outcome] = summed.get(outcome, 0) + number
    return found


def findings(kinds: Mapping[str, Mapping[str, int]]) -> str:
    """`3 reproduced (2 untuned), 1 not reproduced`; empty without findings."""
    counts, untuned = kinds.get("finding", {}), kinds.get(UNTUNED, {})
    return ", ".join(
        f"{counts[outcome]} {outcome}"
        + (f" ({untuned[outcome]} {UNTUNED})" if outcome in untuned else "")
        for outcome in OUTCOMES
        if outcome in counts
    )


def multiverse(kinds: Mapping[str, Mapping[str, int]]) -> str:
    """`3 robust, 1 fragile, 4 not asked`: of the findings that are reproduced."""
    counts = {word: kinds.get(word, {}).get("reproduced", 0) for word in ROBUSTNESS}
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number)


def others(kinds: Mapping[str, Mapping[str, int]], kind: Kind) -> str:
    """`2 of 3`: how many of those against the paper, or of the checks of the code, came out so."""
    counts = kinds.get(kind, {})
    return f"{counts.get('reproduced', 0)} of {sum(counts.values())}" if counts else ""


def summary(kinds: Mapping[str, Mapping[str, int]]) -> str:
    """One line of all three, which are never added up."""
    parts = {
        "findings": findings(kinds),
        "of those reproduced": multiverse(kinds),
        "the paper contradicted": others(kinds, "against"),
        "checks of the code passed": others(kinds, "identity"),
    }
    return "; ".join(f"{name}: {said}" for name, said in parts.items() if said)


def sentences(paper: Paper) -> list[str]:
    """What the paper claims in words, each with the claims that test it, or why none does."""
    told = []
    for number, text in enumerate(paper.claims_in_words):
        by = [name for name, claim in paper.claims.items() if number in claim.words]
        notes = [f"tested by {', '.join(f'`{name}`' for name in by)}"] if by else []
        if number in paper.untested:
            notes.append(f"not tested: {paper.untested[number]}")
        told.append(f"{text} ({'; '.join(notes)})" if notes else text)
    return told
