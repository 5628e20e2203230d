"""Learning rate divided at milestones, after an optional linear warm-up.

    factor(t) = gamma ^ #{m in milestones: t >= m * unit}

`unit: epoch` counts milestones in epochs, `unit: run` in fractions of the run, which a shorter run
keeps in place. The reference's (`adjust_learning_rate` in util.py of
https://github.com/HobbitLong/SupContrast) is [700, 800, 900] epochs of 1000, gamma 0.1.
"""

from __future__ import annotations

from typing import Literal

from ppr.errors import BadRequest
from ppr.fields import Fraction, NonNegative, Positive
from ppr.registry import component
from ppr.schedules.warmup import Schedule, with_warmup


@component("schedule")
def step(
    total_steps: int,
    steps_per_epoch: int,
    *,
    milestones: list[Positive],
    unit: Literal["epoch", "run"] = "run",
    gamma: Fraction = 0.1,
    warmup_epochs: NonNegative = 0.0,
    warmup_from: Fraction = 0.0,
) -> Schedule:
    """
    Raises:
        BadRequest: with `unit: run`, a milestone after the run's end.
    """
    if unit == "run" and max(milestones, default=0) > 1:
        what = "with schedule.unit=run milestones are fractions of the run, at most 1"
        raise BadRequest(f"schedule.milestones={milestones}: {what}; for epochs use unit=epoch")
    length = steps_per_epoch if unit == "epoch" else total_steps
    drops = [round(milestone * length) for milestone in milestones]

    def factor(step: int) -> float:
        return float(gamma ** sum(step >= drop for drop in drops))

    warmup = round(warmup_epochs * steps_per_epoch)
    return with_warmup(factor, warmup, warmup_from, factor(warmup))
