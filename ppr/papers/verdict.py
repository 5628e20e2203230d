"""What the runs say of a claim."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ppr.papers.robustness import Multiverse

if TYPE_CHECKING:  # light commands count verdicts that are kept
    from ppr.papers.looks import Look

Outcome = Literal["reproduced", "not reproduced", "inconclusive", "not run"]
OUTCOMES: tuple[Outcome, ...] = ("reproduced", "not reproduced", "inconclusive", "not run")

UNTUNED = "untuned"
"""What compares rows whose settings are neither tuned nor the paper's own."""


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a claim, and of its direction in other universes.

    `looks`: the p-values at each look that was taken, and that decided.

    `seeds_needed`: how many in each cell would likely decide an open one, at the spread seen.
    """

    claim: str
    says: str
    test: str
    scale: str
    table: str
    outcome: Outcome
    reason: str
    p_for: float | None = None
    p_against: float | None = None
    seeds_needed: int | None = None
    looks: tuple[Look, ...] = ()
    multiverse: Multiverse = field(default_factory=Multiverse)
    at_edge: tuple[str, ...] = ()
    """The choices behind its cells that lie at an edge of their grid: these count as untuned."""
