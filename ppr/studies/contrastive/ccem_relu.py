"""The sigmoid loss on one shared encoder that ends in a ReLU: the authors' published figure.

Lee, Chang and Sohn, arXiv:2402.12613, lower panel of the figure in example.ipynb of
leechungpa/ccem-cl: N = 4..50 pairs of normal vectors in 2 N dimensions, both views through one
network 2N-N-N with a ReLU after each layer, 100 steps of gradient descent at the rate 0.5 on the
loss of ccem.py with b = t, at ten temperatures from 0.1 to 5; the mean cosine of matching pairs at
the last step. Embeddings are not negative, so this is not the optimum of the theorem; a row whose
units all die has the cosine 0.

`released` repeats the authors' own draw: numpy and torch seeded with 1234, the upper panel's data
and weights drawn first. Where the picture cannot be read, under a line or a label, the cell is left
out.

Metrics: `mean/t_…` over N at each temperature, and `n28/t_…` at N = 28.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Count
from ppr.registry import component
from ppr.studies.study import Study

PAIRS = range(4, 51)
TEMPERATURES = np.linspace(0.1, 5, 10)
RATE = 0.5
RELEASED_SEED = 1234
SHOWN = 28
HIDDEN = {(4, 0), (5, 1), (7, 2), (9, 1), (14, 4), (22, 2), (22, 5), (24, 2), (34, 6), (35, 6)}
"""N and number of the temperature of the cells under something drawn over the picture."""


class Encoder(nn.Module):
    """Its third layer is never used, but drawn: the next encoder's weights depend on it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * dim, dim)
        self.second = nn.Linear(dim, dim)
        self.unused = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(F.relu(self.second(F.relu(self.first(x)))), dim=1)


def sigmoid_loss(u: Tensor, v: Tensor, t: float) -> Tensor:
    """With b = t, as the authors' code has it."""
    signs = 1 - 2 * torch.eye(len(u))
    return torch.log(1 + torch.exp(signs * (u @ v.T * t - t))).sum() / len(u)


@component("task")
class CCEMReLU(Study):
    def __init__(self, bench: Bench, *, released: bool = False, steps: Count = 100) -> None:
        super().__init__(bench)
        self.released, self.steps = released, steps

    def measure(self) -> dict[str, dict[str, float]]:
        seed = RELEASED_SEED if self.released else derive(self.bench.seed, "ccem_relu") % 2**32
        random = np.random.RandomState(seed)
        cosines = np.full((len(TEMPERATURES), len(PAIRS)), np.nan)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.released:  # the panel of InfoNCE
                for _ in TEMPERATURES:
                    for n in PAIRS:
                        self._draw(n, random)
            for i, t in enumerate(TEMPERATURES):
                for j, n in enumerate(PAIRS):
                    cosine = self._cosine(*self._draw(n, random), float(t))
                    cosines[i, j] = np.nan if (n, i) in HIDDEN else cosine
        names = [f"t_{t:.2f}" for t in TEMPERATURES]
        shown = cosines[:, PAIRS.index(SHOWN)]
        return {
            "mean": dict(zip(names, np.nanmean(cosines, 1).tolist(), strict=True)),
            f"n{SHOWN}": dict(zip(names, shown.tolist(), strict=True)),
        }

    @staticmethod
    def _draw(n: int, random: np.random.RandomState) -> tuple[Encoder, Tensor, Tensor]:
        mean, covariance = np.zeros(2 * n), np.eye(2 * n)
        views = [random.multivariate_normal(mean, covariance, n) for _ in range(2)]
        u, v = (torch.from_numpy(view).float() for view in views)
        return Encoder(n), u, v

    def _cosine(self, encoder: Encoder, x_u: Tensor, x_v: Tensor, t: float) -> float:
        """The mean cosine of matching pairs at the last step."""
        sgd = torch.optim.SGD([*encoder.first.parameters(), *encoder.second.parameters()], lr=RATE)
        cosines = torch.empty(0)
        for _ in range(self.steps):
            sgd.zero_grad()
            u, v = encoder(x_u), encoder(x_v)
            cosines = (u * v).sum(1).detach()
            sigmoid_loss(u, v, t).backward()  # type: ignore[no-untyped-call]
            sgd.step()
        return cosines.mean().item()

    def check(self) -> None:
        """One training: there are 470."""
        self._cosine(*self._draw(4, np.random.RandomState(0)), 1.0)
