"""The loss `ldam` by its equation, of training targets whose classes have `COUNTS` samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tests.losses.vectors import Rows

VARIATIONS = (
    {},
    {"reweight": "always", "beta": 0.9},
    {"max_margin": 0.0, "scale": 1.0, "reweight": "always"},
    {"reweight": "deferred"},
)
COUNTS = (40, 9, 3, 20, 1)
SEEN = (torch.repeat_interleave(torch.arange(5), torch.tensor(COUNTS)), 5)


def reference(
    logits: Rows,
    target: Sequence[int],
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    reweight: str = "never",
    beta: float = 0.9999,
) -> float:
    """arXiv:1906.07413, before `advance` has reached the deferred weights."""
    largest = max(n**-0.25 for n in COUNTS)
    total = whole = 0.0
    for z, y in zip(logits, target, strict=True):
        margin = max_margin / largest * COUNTS[y] ** -0.25
        own = scale * (z[y] - margin)
        others = [scale * z[j] for j in range(len(z)) if j != y]
        top = max(own, *others)
        partition = top + math.log(math.fsum(math.exp(v - top) for v in (own, *others)))
        weight = (1 - beta) / (1 - beta ** COUNTS[y]) if reweight == "always" else 1.0
        total += weight * (partition - own)
        whole += weight
    return total / max(whole, 1e-300)
