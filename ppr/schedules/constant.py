"""Constant learning rate, after an optional linear warm-up.

factor(t) = warmup_from + t / W * (1 - warmup_from),   t < W = warmup_epochs * steps_per_epoch
factor(t) = 1,                                         t >= W
"""

from __future__ import annotations

from ppr.fields import Fraction, NonNegative
from ppr.registry import component
from ppr.schedules.warmup import Schedule, with_warmup


@component("schedule")
def constant(
    total_steps: int,
    steps_per_epoch: int,
    *,
    warmup_epochs: NonNegative = 0.0,
    warmup_from: Fraction = 0.0,
) -> Schedule:
    del total_steps
    warmup = round(warmup_epochs * steps_per_epoch)
    return with_warmup(lambda step: 1.0, warmup, warmup_from, 1.0)
