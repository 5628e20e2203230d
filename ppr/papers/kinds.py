"""Verdicts by what their claims are: findings, the paper contradicted, checks of the code.

An identity that holds says that ppr computes what it should, and nothing of the paper; it is never
counted among what a paper's findings reproduce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ppr.papers.verdict import OUTCOMES

if TYPE_CHECKING:
    from ppr.papers.claim_schema import Kind
    from ppr.papers.schema import Paper
    from ppr.papers.verdict import Outcome, Verdict

Counts = dict[str, dict[str, int]]
"""Kind of claim -> outcome -> how many. The kind UNTUNED counts the findings that are untuned,
which are among the findings too."""

UNTUNED = "untuned"
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


def is_untuned(paper: Paper, claim: str) -> bool:
    """Whether it is a finding over cells whose settings are neither tuned nor the paper's own."""
    from ppr.papers.claims import plan

    return paper.claims[claim].kind == "finding" and any(
        cell.table.settings_of(cell.row, cell.column) == "untuned"
        for group in plan(paper, claim)
        for cell in group
    )


def described(paper: Paper, verdict: Verdict) -> str:
    """A verdict's name, `untuned` beside it where the claim is."""
    name = named(paper.claims[verdict.claim].kind, verdict.outcome)
    return f"{name}, {UNTUNED}" if is_untuned(paper, verdict.claim) else name


def tally(paper: Paper, verdicts: Sequence[Verdict]) -> dict[str, Counts]:
    """Scale -> kind -> outcome -> how many claims."""
    found: dict[str, Counts] = {}
    for verdict in verdicts:
        kinds = found.setdefault(verdict.scale, {})
        kind: str = paper.claims[verdict.claim].kind
        for key in (kind, UNTUNED) if is_untuned(paper, verdict.claim) else (kind,):
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


def others(kinds: Mapping[str, Mapping[str, int]], kind: Kind) -> str:
    """`2 of 3`: how many of those against the paper, or of the checks of the code, came out so."""
    counts = kinds.get(kind, {})
    return f"{counts.get('reproduced', 0)} of {sum(counts.values())}" if counts else ""


def summary(kinds: Mapping[str, Mapping[str, int]]) -> str:
    """One line of all three, which are never added up."""
    parts = {
        "findings": findings(kinds),
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
