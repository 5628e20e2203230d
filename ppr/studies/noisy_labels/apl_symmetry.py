"""The theorem behind normalised losses: symmetric label noise leaves their minimiser where it is.

Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", arXiv:2006.13554. A
normalised loss sums to 1 over the K classes; and where the sum is a constant C, the risk under
labels of which a share eta is flipped to one of the other classes is affine in the clean one:

    sum_k L(f(x), k) = C
    (1 - eta) L(f(x), y) + eta / (K - 1) sum_{k != y} L(f(x), k)
        = (1 - eta K / (K - 1)) L(f(x), y) + C eta / (K - 1)

With eta < (K - 1) / K the factor is positive, so both risks have the same minimisers. The config's
loss is measured on random float64 logits, normal with standard deviation 3, one label each; the
expectation over the noise is a sum over classes, nothing is sampled.

Metrics: `symmetry/sum`, the sum farthest from 1; `symmetry/risk_error`, the largest difference of
the two sides with C = 1, so that a loss which is no normalised one shows.
"""

from __future__ import annotations

import torch

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction
from ppr.registry import component
from ppr.studies.study import Study

SPREAD = 3.0


@component("task", losses="classification")
class APLSymmetry(Study):
    """
    Raises:
        BadRequest: fewer than two classes.
    """

    def __init__(
        self, bench: Bench, *, classes: Count = 10, samples: Count = 200, noise: Fraction = 0.6
    ) -> None:
        super().__init__(bench)
        if classes < 2:
            raise BadRequest(f"task.classes={classes}: must be 2 or more, or no label can be wrong")
        self.classes = classes
        self.samples = samples
        self.noise = noise
        self.loss = bench.build("loss")

    def measure(self) -> dict[str, dict[str, float]]:
        device, K, eta = self.bench.device, self.classes, self.noise
        cpu = torch.device("cpu")  # the same numbers on every machine
        random = generator(cpu, self.bench.seed, "symmetry")
        logits = SPREAD * torch.randn(self.samples, K, dtype=torch.float64, generator=random)
        labels = torch.randint(K, (self.samples,), generator=random)
        classes = torch.arange(K, device=device)
        sums, errors = [], []
        for row, y in zip(logits.to(device), labels.tolist(), strict=True):
            # The mean over a batch of one sample is that sample's loss.
            each = torch.stack([self.loss(row[None], k[None]) for k in classes])
            clean, others = each[y], each.sum() - each[y]
            noisy = (1 - eta) * clean + eta / (K - 1) * others
            affine = (1 - eta * K / (K - 1)) * clean + eta / (K - 1)
            sums.append(each.sum().item())
            errors.append((noisy - affine).abs().item())
        farthest = max(sums, key=lambda value: abs(value - 1))
        return {"symmetry": {"sum": farthest, "risk_error": max(errors)}}
