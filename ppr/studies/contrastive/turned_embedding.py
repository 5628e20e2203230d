"""Contrastive loss of the full batch and of all mini-batches as one embedding turns in a circle.

Figure 1(a) of Cho et al., "Mini-Batch Optimization of Contrastive Loss", arXiv:2307.05906: N = 10
pairs in the plane, batches of two. All embeddings are at the optimum, u_i = v_i the corners of a
regular decagon, but for u_1, which is turned by an angle theta. In the figure's units, with L of
minibatch_optimum.py:

    full(theta) = L / 2 of all pairs,   mini(theta) = 1/N sum of L / 2 over all (N choose B) batches

Metrics of `full` and `mini`: `least` and `greatest` over theta, and `turned`, the angle in radians
at which the loss is least.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.fields import Annotated, Count, Ge
from ppr.registry import component
from ppr.studies.contrastive.minibatch_optimum import batch_losses
from ppr.studies.study import Study


@component("task")
class TurnedEmbedding(Study):
    """The angles are `steps` and evenly spaced, 0 among them."""

    def __init__(
        self,
        bench: Bench,
        *,
        pairs: Annotated[int, Ge(3)] = 10,
        batch: Annotated[int, Ge(2)] = 2,
        steps: Count = 7200,
    ) -> None:
        super().__init__(bench)
        self.pairs, self.batch, self.steps = pairs, batch, steps

    def measure(self) -> dict[str, dict[str, float]]:
        theta = torch.arange(self.steps, dtype=torch.float64) * (2 * math.pi / self.steps)
        batches = torch.tensor(list(itertools.combinations(range(self.pairs), self.batch)))
        everything = torch.arange(self.pairs)[None]
        turned = [self._cosines(angle) for angle in theta]
        full = torch.stack([batch_losses(s, everything).sum() for s in turned]) / 2
        mini = torch.stack([batch_losses(s, batches).sum() for s in turned]) / 2 / self.pairs
        return {"full": _extremes(full, theta), "mini": _extremes(mini, theta)}

    def _cosines(self, theta: Tensor) -> Tensor:
        """All cosines u_i.v_j [N, N] with u_1 turned by theta."""
        v = torch.arange(self.pairs, dtype=torch.float64) * (2 * math.pi / self.pairs)
        u = v.clone()
        u[0] = theta
        return torch.cos(u[:, None] - v)


def _extremes(losses: Tensor, theta: Tensor) -> dict[str, float]:
    at = int(losses.argmin())
    return {
        "least": losses[at].item(),
        "greatest": losses.max().item(),
        "turned": theta[at].item(),
    }
