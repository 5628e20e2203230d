"""Symmetric InfoNCE, CLIP's loss: each row of one tower finds its match among the other's rows.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
arXiv:2103.00020, figure 3 (its pseudocode). For unit vectors a_i, b_i and s_ij = a_i.b_j / t:

    L = 1/(2N) sum_i [ -log( e^{s_ii} / sum_j e^{s_ij} ) - log( e^{s_ii} / sum_j e^{s_ji} ) ]

Theory papers (arXiv:2307.05906, arXiv:2402.12613) write the sum of the two directions, twice this.
CLIP learns log(1/t) from t = 0.07 and lets 1/t be no more than 100 (section 2.5): `learnable` makes
-log t a parameter, and a task clips it so after each step. `rows` are those of a tile (Cheng et
al., "Breaking the Memory Barrier", arXiv:2410.17243): a matter of memory and rounding, not of the
loss.

Shapes: a, b [N, D], matching rows positive. They are L2-normalised here; half precision is computed
in float32. An empty batch gives 0 with a gradient of 0. Memory is linear in N.

Raises ValueError for embeddings that are not two [N, D] of one shape, BadRequest for a learnable
temperature that begins beyond its bound.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Count, Positive
from ppr.losses._batch import matched_rows
from ppr.losses._partition import log_partition
from ppr.registry import component

LARGEST = 100.0
"""Of a learnt scale of the cosines."""


def infonce(
    a: Tensor, b: Tensor, *, temperature: float | Tensor, rows: int | None = None
) -> Tensor:
    """The mean over rows and over the two directions; `rows` as of `log_partition`."""
    if isinstance(temperature, Tensor):
        a, b = matched_rows(a, b)
        a = a / temperature
    else:
        a, b = matched_rows(a, b, length=temperature**-0.5)
    if not len(a):
        return (a + b).sum()
    partitions = (log_partition(a, b, rows=rows) + log_partition(b, a, rows=rows)) / 2
    loss: Tensor = (partitions - (a * b).sum(1)).mean()
    return loss


@component("loss", family="two-tower")
class InfoNCELoss(nn.Module):
    def __init__(
        self,
        *,
        temperature: Positive = 0.07,
        learnable: bool = False,
        rows: Count | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.learnable = learnable
        self.rows = rows
        if learnable:
            if temperature < 1 / LARGEST:
                what = f"learnable=true keeps it at {1 / LARGEST} or more"
                raise BadRequest(f"loss.temperature={temperature}: {what}")
            self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        t = (-self.log_scale).exp() if self.learnable else self.temperature
        return infonce(a, b, temperature=t, rows=self.rows)

    @torch.no_grad()
    def bound(self) -> None:
        """Keep what is learnt within its bound, after a step."""
        if self.learnable:
            self.log_scale.clamp_(max=math.log(LARGEST))

    def learnt(self) -> dict[str, Tensor]:
        """What a run logs of it."""
        return {"temperature": (-self.log_scale.detach()).exp()} if self.learnable else {}
