"""What the universes of a claim have shown of its direction: robust, fragile, or not asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Robustness = Literal["robust", "fragile", "not asked", ""]
_DECIDED = ("reproduced", "not reproduced")


@dataclass(frozen=True)
class Effect:
    """`half_width`: of its 95 % interval; None where the seeds say nothing of chance, or where the
    claim is of each run. `place`: the comparison that it is of; `seeds`: the fewest of its cells.
    """

    estimate: float
    half_width: float | None
    holds: bool
    place: str
    seeds: int


@dataclass(frozen=True)
class Specification:
    """One universe with what was found. `asked`, `done`: runs; `effect`: None until all are there.

    `same`: not one number of it differs from the table's, so that it asks nothing.
    """

    name: str
    says: str
    asked: int
    done: int
    effect: Effect | None = None
    same: bool = False


@dataclass(frozen=True)
class Multiverse:
    """`own`: the effect in the table itself. `off`: defaults that are not asked, and why.

    `none`: why there is no universe at all; `problem`: what is wrong with one that is stated.
    """

    own: Effect | None = None
    specifications: Sequence[Specification] = ()
    off: Mapping[str, str] = field(default_factory=dict)
    none: str = ""
    problem: str = ""

    @property
    def counted(self) -> list[Specification]:
        return [each for each in self.specifications if not each.same]

    @property
    def run(self) -> list[tuple[Specification, Effect]]:
        return [(each, each.effect) for each in self.counted if each.effect]

    def turned(self, outcome: str) -> list[str]:
        """The universes in which the direction is not that of the table."""
        if outcome not in _DECIDED or self.own is None:
            return []
        here = outcome == "reproduced" or self.own.holds
        return [each.name for each, found in self.run if found.holds != here]

    def robustness(self, outcome: str) -> Robustness:
        """Of a claim that is decided; empty of others, and where no universe makes sense."""
        if outcome not in _DECIDED or self.none:
            return ""
        if self.turned(outcome):
            return "fragile"
        all_run = self.counted and len(self.run) == len(self.counted)
        return "robust" if all_run else "not asked"

    def told(self, outcome: str) -> str:
        """`robust`, `fragile: longer`, `universes: 2 of 5 run`; empty where there are none."""
        known = self.robustness(outcome)
        if known == "fragile":
            return f"fragile: {', '.join(self.turned(outcome))}"
        if known == "robust":
            return known
        if not self.counted:
            return ""
        return f"universes: {len(self.run)} of {len(self.counted)} run"
