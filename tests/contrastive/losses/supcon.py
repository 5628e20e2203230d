"""The loss `supcon` by its equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.losses.vectors import Rows, dot, unit

VARIATIONS = (
    {},
    {"variant": "in"},
    {"temperature": 0.02},
    {"temperature": 0.02, "variant": "in"},
    {"base_temperature": 0.07},
)


def reference(
    embeddings: Sequence[Rows],
    labels: Sequence[int] | None,
    *,
    temperature: float = 0.1,
    variant: str = "out",
    base_temperature: float | None = None,
) -> float:
    """arXiv:2004.11362, equations 2 ("out") and 3 ("in"), as a mean over all anchors."""
    views = [
        (unit(view), sample if labels is None else labels[sample])
        for sample, row in enumerate(embeddings)
        for view in row
    ]
    total = 0.0
    for i, (z_i, y_i) in enumerate(views):
        e = {a: math.exp(dot(z_i, z) / temperature) for a, (z, _) in enumerate(views) if a != i}
        positives = [p for p in e if views[p][1] == y_i]
        if not positives:
            continue
        shares = [e[p] / sum(e.values()) for p in positives]
        if variant == "out":
            total += -sum(math.log(share) for share in shares) / len(positives)
        else:
            total += -math.log(sum(shares) / len(positives))
    scale = 1 if base_temperature is None else temperature / base_temperature
    return scale * total / max(1, len(views))
