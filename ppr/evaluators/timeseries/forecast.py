"""Forecasts over bins: error of the median and of the mean, quantile loss, entropy.

The bins part [-reach, reach] equally; within one, probability is spread evenly, which makes the
quantile of level a the point where the piecewise linear distribution function reaches a. With true
values v at the positions that count (`extra["mask"]` and `extra["values"]` of the split):

    median_mae = mean |v - F^-1(1/2)|        mean_mae = mean |v - sum_i p_i c_i|
    quantile_loss = mean over v and a = 0.1, ..., 0.9 of 2 max(a u, (a - 1) u), u = v - F^-1(a)

Metrics: these, in the values' units (here deviations of the context); `entropy`, in nats.

Raises BadRequest for a split without values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.registry import component

WHERE = "evaluator.forecast"
LEVELS = tuple(level / 10 for level in range(1, 10))


@component("evaluator")
class Forecast:
    def protocol(self) -> dict[str, object]:
        return {"point forecast": "median, mean beside it", "epoch": "last"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        split: Any = subject.split(subject.target_split)
        known = getattr(split, "extra", {})
        if "values" not in known or "mask" not in known:
            raise BadRequest(
                f"{WHERE}: the data set {subject.dataset.name!r} has no values to meet"
            )
        outputs = torch.cat([found for found, _ in subject.outputs(subject.target_split, WHERE)])
        mask = known["mask"].to(outputs.device)
        p = outputs[mask].softmax(-1)
        truth = known["values"].to(outputs.device)[mask]
        reach = float(subject.dataset.extra["reach"])
        found = quantiles(p, torch.tensor(LEVELS, device=p.device), reach)
        width = 2 * reach / p.shape[1]
        centres = -reach + width * (torch.arange(p.shape[1], device=p.device) + 0.5)
        above = truth[:, None] - found
        level = torch.tensor(LEVELS, device=p.device)
        pinball = torch.maximum(level * above, (level - 1) * above)
        entropy = -(p * p.clamp(min=torch.finfo(p.dtype).tiny).log()).sum(1)
        return {
            "median_mae": above[:, LEVELS.index(0.5)].abs().mean().item(),
            "mean_mae": (truth - p @ centres).abs().mean().item(),
            "quantile_loss": 2 * pinball.mean().item(),
            "entropy": entropy.mean().item(),
        }


def quantiles(p: Tensor, levels: Tensor, reach: float) -> Tensor:
    """The levels' quantiles [M, L] of distributions [M, C] over the bins of [-reach, reach]."""
    below = p.cumsum(1)
    bins = p.shape[1]
    asked = levels.expand(len(p), -1).contiguous()
    place = torch.searchsorted(below, asked).clamp(max=bins - 1)
    share = p.gather(1, place)
    inside = 1 - (below.gather(1, place) - asked) / share.clamp(min=1e-12)
    return -reach + 2 * reach / bins * (place + inside.clamp(0, 1))
