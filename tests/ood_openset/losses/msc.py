"""The loss `msc` by its equation, around a centre that is not at the origin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tests.losses.vectors import Rows, dot, unit

BATCH = "multi-view"
VARIATIONS = ({}, {"angular": True}, {"temperature": 1.0})
FEATURES = ((2.0, 1.0, 0.0, 0.5), (0.0, 3.0, 4.0, 0.0), (1.0, 1.0, 1.0, -1.0))


def settle(loss: Any) -> None:
    loss.centre_on(torch.tensor(FEATURES, dtype=torch.float64))
    loss.centre = loss.centre.double()
    loss.centre.copy_(torch.tensor(centre(loss.angular), dtype=torch.float64))


def centre(angular: bool) -> list[float]:
    mean = [sum(column) / len(FEATURES) for column in zip(*map(unit, FEATURES), strict=True)]
    return unit(mean) if angular else mean


def reference(
    embeddings: Sequence[Rows],
    labels: object,
    *,
    temperature: float = 0.25,
    angular: bool = False,
) -> float:
    """arXiv:2106.03844, equations of the mean shift, the loss and the angular centre."""
    shifted = [
        (sample, [x - m for x, m in zip(unit(view), centre(angular), strict=True)])
        for sample, row in enumerate(embeddings)
        for view in row
    ]
    thetas = [(sample, unit(row)) for sample, row in shifted]
    total = 0.0
    for i, (sample, theta) in enumerate(thetas):
        e = {k: math.exp(dot(theta, other) / temperature)
             for k, (_, other) in enumerate(thetas) if k != i}  # fmt: skip
        positives = [k for k in e if thetas[k][0] == sample]
        total -= sum(math.log(e[k] / sum(e.values())) for k in positives) / len(positives)
    mean = total / max(1, len(thetas))
    if angular and shifted:
        mean += len(embeddings[0]) * sum(dot(x, x) for _, x in shifted) / len(shifted)
    return mean
