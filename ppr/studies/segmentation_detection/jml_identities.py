"""Jaccard losses of random probabilities and labels: where they agree, and where they are least.

Wang, Ning and Blaschko, "Jaccard Metric Losses", arXiv:2302.05666. The losses are those of
the loss `jml` without smoothing, of `pixels` probabilities x and labels y, float64:

hard    y of 0 and 1, x uniform on [0, 1]: the largest |JML - SJL| over `samples` pairs
half    y = 1/2 everywhere: the loss at x = y; and the x, the same everywhere, on a grid of 1001
        values, where it is least
triple  the largest d(a, c) - d(a, b) - d(b, c) over `samples` triples, at most 0 for a metric;
        half of them have entries uniform on [0, 1], half entries from {0, 1/2, 1}

Metrics: `hard/jml1`, `hard/jml2`; `half/at_label_<loss>`, `half/argmin_<loss>`;
`triple/excess_<loss>`, with <loss> one of jml1, jml2, soft.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count
from ppr.losses.segmentation_detection.jml import jaccard
from ppr.registry import component
from ppr.studies.study import Study

VARIANTS = ("jml1", "jml2", "soft")


@component("task")
class JMLIdentities(Study):
    def __init__(self, bench: Bench, *, pixels: Count = 4, samples: Count = 100_000) -> None:
        super().__init__(bench)
        self.pixels = pixels
        self.samples = samples

    def measure(self) -> dict[str, dict[str, float]]:
        # On the CPU, for the same numbers on every machine.
        random = generator(torch.device("cpu"), self.bench.seed, "jaccard")
        shape = (self.pixels, self.samples)

        def uniform() -> Tensor:
            drawn = torch.rand(shape, dtype=torch.float64, generator=random)
            return drawn.to(self.bench.device)

        x, hard = uniform(), uniform().round()
        hard[0] = 1  # else all losses are 0/0 where x is 0 as well
        soft = _loss(x, hard, "soft")
        agree = {v: (_loss(x, hard, v) - soft).abs().max().item() for v in ("jml1", "jml2")}

        half = torch.full((self.pixels, 1001), 0.5, dtype=torch.float64, device=x.device)
        grid = torch.linspace(0, 1, 1001, dtype=torch.float64, device=x.device).expand_as(half)
        least = {}
        for v in VARIANTS:
            least[f"at_label_{v}"] = _loss(half, half, v)[0].item()
            least[f"argmin_{v}"] = grid[0, _loss(grid, half, v).argmin()].item()

        a, b, c = (self._cornered(uniform()) for _ in range(3))
        excess = {f"excess_{v}": _excess(a, b, c, v) for v in VARIANTS}
        return {"hard": agree, "half": least, "triple": excess}

    def _cornered(self, drawn: Tensor) -> Tensor:
        """The second half of the samples moved to the nearest of 0, 1/2 and 1."""
        drawn[:, self.samples // 2 :] = (2 * drawn[:, self.samples // 2 :]).round() / 2
        return drawn


def _loss(x: Tensor, y: Tensor, variant: str) -> Tensor:
    """0 where both are empty."""
    return (1 - jaccard(x, y, variant)).nan_to_num(0.0)


def _excess(a: Tensor, b: Tensor, c: Tensor, variant: str) -> float:
    around = _loss(a, b, variant) + _loss(b, c, variant)
    return (_loss(a, c, variant) - around).max().item()
