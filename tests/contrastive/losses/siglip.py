"""The loss `siglip` by its equation."""

from __future__ import annotations

import math

from tests.losses.vectors import Rows, cosines

VARIATIONS = ({}, {"temperature": 2.0, "bias": 1.0})


def reference(
    a: Rows, b: Rows, *, temperature: float = 10.0, bias: float = -10.0, learnable: bool = False
) -> float:
    """arXiv:2303.15343, algorithm 1."""
    del learnable
    s = cosines(a, b)
    signs = {True: 1, False: -1}
    terms = [
        math.log1p(math.exp(-signs[i == j] * (temperature * value + bias)))
        for i, row in enumerate(s)
        for j, value in enumerate(row)
    ]
    return math.fsum(terms) / max(1, len(s))
