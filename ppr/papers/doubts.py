"""What a cell's mean and interval do not tell: seeds unlike the rest, or turned by a rounding."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ppr.results.roundings import Rounding
from ppr.results.tree import Record

RELATIVE, ABSOLUTE = 1e-5, 1e-12
"""Of a value, and of any: what another order of the same sums makes of it."""
MOST_SPREADS = 4.0
"""Standard deviations of the other seeds: what training on another path does, and no more."""


def turning(
    records: Iterable[Record],
    samples: Mapping[int, float],
    metric: str,
    factor: float,
    known: Mapping[str, Rounding],
) -> dict[int, str]:
    """Seed -> its values by number of threads, of those moved by more than seeds differ."""
    found = {}
    for record in records:
        again = known.get(record.summary.get("digest", ""))
        if again is None or metric not in again.one:
            continue
        one, other = again.one[metric], again.other[metric]
        if one is not None and other is not None:
            others = [value for seed, value in samples.items() if seed != record.seed]
            spread = statistics.stdev(others) if len(others) > 1 else 0.0
            allowed = max(RELATIVE * abs(one) * factor, ABSOLUTE, MOST_SPREADS * spread)
            if abs(one - other) * factor <= allowed:
                continue
        shown = ["nothing" if v is None else f"{v * factor:.4g}" for v in (one, other)]
        first, second = again.threads
        found[record.seed] = f"{shown[0]} with {first}, {shown[1]} with {second} threads"
    return found


def notes(
    place: str, samples: Mapping[int, float], far: Sequence[int], turns: Mapping[int, str]
) -> Iterator[str]:
    """A note on the seeds that lie far from the others, and on those that a rounding turns."""
    if far:
        values = ", ".join(f"seed {seed} ({samples[seed]:.4g})" for seed in far)
        middle = statistics.median(samples.values())
        yield (
            f"{place}: {values} far from the others' {middle:.4g}: the mean says little of either"
        )
    if turns:
        yield f"{place}: turns with the rounding: {seeds(turns)}"


def seeds(turns: Mapping[int, str]) -> str:
    return "; ".join(f"seed {seed}: {told}" for seed, told in turns.items())
