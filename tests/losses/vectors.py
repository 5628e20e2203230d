"""The sums that the references of several losses share, in Python floats."""

from __future__ import annotations

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def unit(a: Sequence[float]) -> list[float]:
    norm = math.sqrt(dot(a, a))
    return [x / norm for x in a]


def cosines(a: Rows, b: Rows) -> list[list[float]]:
    return [[dot(unit(x), unit(y)) for y in b] for x in a]


def softmax(x: Sequence[float]) -> list[float]:
    partition = sum(math.exp(value) for value in x)
    return [math.exp(value) / partition for value in x]
