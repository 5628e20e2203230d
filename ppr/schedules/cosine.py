"""Cosine decay, after an optional linear warm-up.

Paper: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
https://arxiv.org/abs/1608.03983, eq. 5, without restarts.

    factor(t) = final + (1 - final) * (1 + cos(pi * p)) / 2

With T total steps and W warm-up steps, p is
    t / T               `span: run`: the warm-up replaces the head of a cosine over the whole run
    (t - W) / (T - W)   `span: after_warmup`: the cosine starts when the warm-up ends

`span: run` is `adjust_learning_rate` in util.py of https://github.com/HobbitLong/SupContrast, with
`every: epoch` (the rate is set once an epoch, epochs counted from 1), final 0.1^3 and, for batches
over 256, a warm-up of 10 epochs from lr 0.01 (main_supcon.py). `span: after_warmup` is
`learning_rate_schedule` in model_util.py of https://github.com/google-research/simclr.

A run shorter than its warm-up ends inside it.
"""

from __future__ import annotations

import math
from typing import Literal

from ppr.fields import Fraction, NonNegative
from ppr.registry import component
from ppr.schedules.warmup import Schedule, with_warmup


@component("schedule")
def cosine(
    total_steps: int,
    steps_per_epoch: int,
    *,
    final: Fraction = 0.0,
    span: Literal["run", "after_warmup"] = "run",
    every: Literal["step", "epoch"] = "step",
    warmup_epochs: NonNegative = 0.0,
    warmup_from: Fraction = 0.0,
) -> Schedule:
    warmup = round(warmup_epochs * steps_per_epoch)
    start = warmup if span == "after_warmup" else 0

    def decay(position: float) -> float:
        progress = min(max(position - start, 0) / max(total_steps - start, 1), 1.0)
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    def factor(step: int) -> float:
        return decay((step // steps_per_epoch + 1) * steps_per_epoch if every == "epoch" else step)

    return with_warmup(factor, warmup, warmup_from, decay(warmup))
