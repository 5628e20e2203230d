"""The loss `dist` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, dot, softmax

VARIATIONS = ({}, {"beta": 0.5, "gamma": 2.0, "temperature": 1.0})


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    a, b = ([x - sum(row) / len(row) for x in row] for row in (a, b))
    return dot(a, b) / (math.sqrt(dot(a, a) * dot(b, b)) + 1e-8)


def reference(
    student: Rows,
    teacher: Rows,
    target: Sequence[int],
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 4.0,
) -> float:
    """arXiv:2205.10536, the inter- and the intra-class relation."""
    if not target:
        return 0.0
    hard = -sum(math.log(softmax(s)[y]) for s, y in zip(student, target, strict=True))
    ours = [softmax([x / temperature for x in s]) for s in student]
    theirs = [softmax([x / temperature for x in t]) for t in teacher]
    rows = [correlation(a, b) for a, b in zip(ours, theirs, strict=True)]
    columns = [
        correlation(a, b)
        for a, b in zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True)
    ]
    by_sample, by_class = 1 - sum(rows) / len(rows), 1 - sum(columns) / len(columns)
    return hard / len(target) + temperature**2 * (beta * by_sample + gamma * by_class)
