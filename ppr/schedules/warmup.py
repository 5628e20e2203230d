"""Linear warm-up in front of any schedule."""

from __future__ import annotations

from collections.abc import Callable

Schedule = Callable[[int], float]


def with_warmup(schedule: Schedule, steps: int, start: float, end: float) -> Schedule:
    """`schedule`, but for its first `steps` steps, which are on the line from `start` to `end`.

        factor(t) = start + t / steps * (end - start),   t < steps

    This is `warmup_learning_rate` in util.py of https://github.com/HobbitLong/SupContrast.
    """

    def factor(step: int) -> float:
        return schedule(step) if step >= steps else start + step / steps * (end - start)

    return factor
