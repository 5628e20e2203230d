"""A search space of the toy experiment, and what is known of it."""

from __future__ import annotations

import math

from ppr.config.overrides import parse
from ppr.sweepers.space import read_axes

RATE = "task.rate=tag(log,interval(0.1,10))"


def axis(word: str):
    return read_axes(parse([word]))[0]


def score(rate: float) -> float:
    """What the toy comes to at its best epoch, the last."""
    return math.exp(-(math.log(rate) ** 2))
