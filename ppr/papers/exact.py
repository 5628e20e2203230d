"""Claims that each run decides by itself, without statistics: `test: exact`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ppr.papers.claim_schema import Exact
from ppr.papers.looks import Group, wanting


def exact(claim: Exact, groups: Sequence[Group]) -> tuple[bool | None, str]:
    """Whether every run is within `precision` of the truth, relative to it (absolute if it is 0),
    and the worst of them. None: not all are there, or there is nothing to hold them against.
    """
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
        return None, "the two cells have no seed in common"
    error, place, seed, value, truth = max(found, key=lambda run: run[0])
    holds = error <= claim.precision
    side = "at least " if claim.at_least is not None else "at most " * (claim.at_most is not None)
    reason = (
        f"worst of {len(found)} runs, {place} seed={seed}: {value:.6g}, {side}{truth:.6g} asked"
    )
    if error > 0 or claim.bound is None:
        of_it = " of it" if truth else ""
        reason += f"; off by {error:.2g}{of_it}, {claim.precision:g} allowed"
    if holds and (short := wanting(groups)):
        return None, f"{reason}; {short}: every one is to be so"
    return holds, reason


def allowance(claim: Exact, group: Group) -> float:
    """How much further off the worst run of a cell could be and still be as claimed, in its unit;
    negative if it is not. Of runs without a truth to be held against: minus infinity."""
    spare = [
        claim.precision * (abs(truth) or 1.0) - _beyond(claim, value, truth)
        for seed, value in group[0].samples.items()
        if (truth := _truth(claim, group, seed)) is not None
    ]
    return min(spare, default=-math.inf)


def _beyond(claim: Exact, value: float, truth: float) -> float:
    """How far a value is from the truth; of a bound, on its wrong side, so negative within it."""
    if claim.at_least is not None:
        return truth - value
    return value - truth if claim.at_most is not None else abs(value - truth)


def _truth(claim: Exact, group: Group, seed: int) -> float | None:
    if claim.value is not None:
        return claim.value
    return claim.bound if claim.bound is not None else group[1].samples.get(seed)
