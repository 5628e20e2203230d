"""The loss `infonce` by its equation."""

from __future__ import annotations

import math

from tests.losses.vectors import Rows, cosines

VARIATIONS = ({}, {"temperature": 0.01})


def reference(a: Rows, b: Rows, *, temperature: float = 0.07) -> float:
    """arXiv:2103.00020, figure 3: the mean cross-entropy of rows and of columns."""
    s = [[value / temperature for value in row] for row in cosines(a, b)]
    total = 0.0
    for i, row in enumerate(s):
        column = [other[i] for other in s]
        for line in (row, column):
            highest = max(line)
            partition = math.fsum(math.exp(value - highest) for value in line)
            total += highest + math.log(partition) - row[i]
    return total / max(1, 2 * len(s))
