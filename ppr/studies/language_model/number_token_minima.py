"""Number token losses of given predictions: where they are 0, and what a wrong digit costs.

Zausinger et al., arXiv:2411.02083. Probabilities over the digits, float64:

split      half on 0 and half on 8, of the digit 4: NTL-MSE is 0, NTL-WAS is 4
one_hot    all on one digit: the largest |NTL-WAS - |y - d|| and |NTL-MSE - (y - d)^2| over y, d
least      the least loss of those of `samples` random predictions, Dirichlet with concentration
           0.2, that give the right digit less than half

Metrics: `split/<loss>`, `one_hot/<loss>`, `least/<loss>`, with <loss> wasserstein or mse.
"""

from __future__ import annotations

import numpy as np
import torch

from ppr.engine.bench import Bench
from ppr.fields import Count
from ppr.losses.language_model.number_token import DIGITS, number_distance
from ppr.registry import component
from ppr.studies.study import Study

VARIANTS = ("wasserstein", "mse")


@component("task")
class NumberTokenMinima(Study):
    def __init__(self, bench: Bench, *, samples: Count = 100_000) -> None:
        super().__init__(bench)
        self.samples = samples

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.RandomState(self.bench.seed)
        halves = torch.zeros(DIGITS, dtype=torch.float64)
        halves[[0, 8]] = 0.5
        digit = torch.arange(DIGITS, dtype=torch.float64)
        apart = digit[:, None] - digit  # [y, d]
        sure = torch.eye(DIGITS, dtype=torch.float64).expand(DIGITS, DIGITS, DIGITS)
        drawn = torch.from_numpy(random.dirichlet([0.2] * DIGITS, self.samples))
        truth = torch.from_numpy(random.randint(DIGITS, size=self.samples))
        wrong = drawn.gather(1, truth[:, None])[:, 0] < 0.5
        found: dict[str, dict[str, float]] = {"split": {}, "one_hot": {}, "least": {}}
        for variant, cost in zip(VARIANTS, (apart.abs(), apart**2), strict=True):
            four = torch.tensor(4.0, dtype=torch.float64)
            found["split"][variant] = number_distance(halves, four, variant).item()
            each = number_distance(sure, digit[:, None].expand_as(apart), variant)
            found["one_hot"][variant] = (each - cost).abs().max().item()
            losses = number_distance(drawn[wrong], truth[wrong].double(), variant)
            found["least"][variant] = losses.min().item()
        return found
