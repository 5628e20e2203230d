"""The label of a point between two Gaussians on a line: mixup's, GenLabel's, and the right one.

Sohn et al., "GenLabel: Mixup Relabeling using Generative Models", ICML 2022. Classes N(-1, s^2) and
N(1, s^2), equally likely: at x the probability of the second is sigma(2 x / s^2), whatever was
mixed to get there, while mixup says l y_i + (1 - l) y_j. `points` of each class are drawn, then
shifted and scaled to have that mean and deviation exactly, so that what GenLabel's Gaussian model
learns is the truth. The mixup and the relabelling are those that runs train with. Float64.

Metrics: `label/genlabel` and `label/mixup`, the largest difference of a label from the right one;
`label/mixup_mean`, the mean one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.data.dataset import Dataset, Split
from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, Positive
from ppr.mixups.genlabel import GenLabel
from ppr.mixups.mixup import Mixup
from ppr.registry import component
from ppr.studies.study import Study


@component("task")
class GenLabelLine(Study):
    def __init__(self, bench: Bench, *, deviation: Positive = 0.5, points: Count = 500) -> None:
        super().__init__(bench)
        self.deviation, self.points = deviation, points

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(torch.device("cpu"), self.bench.seed, "line")
        drawn = torch.randn(2, self.points, generator=random, dtype=torch.float64)
        drawn = (drawn - drawn.mean(1, keepdim=True)) / drawn.std(1, keepdim=True)
        inputs = (self.deviation * drawn + torch.tensor([[-1.0], [1.0]])).reshape(-1, 1)
        targets = torch.arange(2).repeat_interleave(self.points)
        split = Split(inputs, targets)
        data = Dataset("line", split, None, split, (1,), ("left", "right"), (), (), "")
        shares = F.one_hot(targets).double()
        begin = random.get_state()
        x, linear = Mixup(data)(inputs, shares, random)
        random.set_state(begin)
        _, relabelled = GenLabel(data, density="gaussian")(inputs, shares, random)
        right = (2 * x[:, 0] / self.deviation**2).sigmoid()
        missed = _error(linear, right)
        return {
            "label": {
                "genlabel": _error(relabelled, right).max().item(),
                "mixup": missed.max().item(),
                "mixup_mean": missed.mean().item(),
            }
        }


def _error(labels: Tensor, right: Tensor) -> Tensor:
    return (labels[:, 1] - right).abs()
