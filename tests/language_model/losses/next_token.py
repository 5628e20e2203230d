"""The loss `next_token` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({},)


def reference(
    outputs: Sequence[Rows], targets: Sequence[Sequence[int]], mask: Sequence[Sequence[bool]]
) -> float:
    terms = []
    for text, tokens, counts in zip(outputs, targets, mask, strict=True):
        for z, y, count in zip(text, tokens, counts, strict=True):
            if count:
                terms.append(-math.log(softmax(z)[y]))
    return math.fsum(terms) / max(1, len(terms))
