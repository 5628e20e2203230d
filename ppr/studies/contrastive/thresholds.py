"""Where an optimum reaches the end of its range, measured without ever standing there.

At such a threshold the loss is flat and a minimiser slow, so it is approached from the side where
the optimum moves, and the last of the way extrapolated. Not a study itself, but what several share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ppr.errors import RunFailed

LEFT = 0.4
"""What is left of the way to the end after each further step."""
LONGER = 3.0
"""A step in t may be this many times the one before."""
OVER = 1e-4
NEAR = 0.02
"""Near enough to extrapolate the rest."""


@dataclass(frozen=True)
class Optimum:
    """At parameter t the optimum has the value s, and these embeddings."""

    t: float
    s: float
    embeddings: Tensor


def reach(
    optimum: Callable[[float, Tensor], Optimum], inside: Optimum, step: float, end: float
) -> float:
    """The t at which s comes to `end`, from an optimum inside and a first step in t towards it.

    Raises:
        RunFailed: a step led over the threshold.
    """
    seen = [inside]
    t = inside.t + step
    while True:
        seen.append(optimum(t, seen[-1].embeddings))
        left = seen[-1].s - end
        if abs(left) < OVER:
            raise RunFailed(f"stepped over the threshold, to {t:g}")
        if abs(left) <= NEAR:
            return _extrapolated(seen, end)
        # A part of the way in s: a step in t might lead over the threshold.
        goal = _extrapolated(seen, end + LEFT * left)
        longest = LONGER * abs(seen[-1].t - seen[-2].t)
        t = min(max(goal, seen[-1].t - longest), seen[-1].t + longest)


def _extrapolated(seen: list[Optimum], s: float) -> float:
    """t at s on the polynomial of t in s through the last points, four or fewer."""
    last = seen[-4:]
    coefficients = np.polyfit([o.s for o in last], [o.t for o in last], len(last) - 1)
    return float(np.polyval(coefficients, s))
