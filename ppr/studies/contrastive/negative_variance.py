"""The variance of negative similarities that fixed mini-batches leave, and that VRN takes away.

Lee et al., "On the Similarities of Embeddings in Contrastive Learning", arXiv:2506.09781: N pairs
in fixed disjoint batches of B. The optimum of InfoNCE in each puts its negatives at -1/(B-1), not
at the full batch's -1/(N-1), so that over all pairs i != j

    variance of u_i.v_j  >=  (N-B) / ((N-1)^2 (B-1))

with equality where the cosines between batches are 0. The VRN term (losses/vrn.py) of weight w and
target -1/n moves a batch's negatives to

    c = argmin over c >= -1/(B-1) of  log(1 + (B-1) e^{(c-1)/t}) + w (c + 1/n)^2

and the variance to f (1-f) c^2, f = (B-1)/(N-1); w has to pass a threshold to have any effect. The
term acts within a batch only: what the cosines between batches add, nothing removes, and random
ones add about ((N-B)/(N-1)) / d.

The config's loss is `infonce` or `vrn`. `start`: "blocks", in which each batch has coordinates of
its own, that no minimiser leaves, so that the cosines between batches are 0; or "random".
Metrics: `measured/…` and, from blocks, `theory/…` of `variance` and `negative` (within batches).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge, Literal
from ppr.losses.contrastive.vrn import VRNLoss
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import minimise, off_diagonal, random_sphere
from ppr.studies.study import Study


def batch_negative(batch: int, temperature: float, weight: float, target: float) -> float:
    """c: the cosine of a batch's negatives at the optimum, matching pairs being aligned."""

    def slope(c: float) -> float:
        others = (batch - 1) * math.exp((c - 1) / temperature)
        return others / (1 + others) / temperature + 2 * weight * (c - target)

    least = -1 / (batch - 1)
    return least if slope(least) >= 0 else float(brentq(slope, least, 1.0, xtol=1e-15))


@component("task", losses="two-tower")
class NegativeVariance(Study):
    """
    Raises:
        BadRequest: a batch size that does not divide `pairs`; fewer dimensions a batch than B - 1.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        pairs: Annotated[int, Ge(4)] = 16,
        batch: Annotated[int, Ge(2)] = 4,
        dim: Count = 64,
        start: Literal["blocks", "random"] = "blocks",
        steps: Count = 2000,
    ) -> None:
        super().__init__(bench)
        if pairs % batch:
            raise BadRequest(f"task.batch={batch}: must divide task.pairs={pairs}")
        if dim * batch // pairs < batch - 1:
            raise BadRequest(f"task.dim={dim}: too few for batches of {batch} in their own blocks")
        self.pairs, self.batch, self.dim = pairs, batch, dim
        self.start, self.steps = start, steps
        self.loss = bench.build("loss")

    def measure(self) -> dict[str, dict[str, float]]:
        u, v = minimise(self._loss, self._begin().to(self.bench.device), self.steps)
        cosines = u @ v.T
        negatives = off_diagonal(cosines)
        batches = torch.arange(self.pairs, device=cosines.device) // self.batch
        same = off_diagonal((batches[:, None] == batches).double()).bool()
        measured = {
            "variance": negatives.var(correction=0).item(),
            "negative": negatives[same].mean().item(),
        }
        return {"measured": measured, "theory": self.theory()}

    def _begin(self) -> Tensor:
        """Rows that are the batches' one after another."""
        x = random_sphere(2, self.pairs, self.dim, seed=self.bench.seed, purpose="variance")
        if self.start == "random":
            return x
        batches = self.pairs // self.batch
        rows = torch.arange(self.pairs) // self.batch
        columns = torch.arange(self.dim) * batches // self.dim
        return F.normalize(x * (rows[:, None] == columns), dim=-1)

    def _loss(self, x: Tensor) -> Tensor:
        u, v = x
        parts = zip(u.split(self.batch), v.split(self.batch), strict=True)
        return torch.stack([self.loss(a, b) for a, b in parts]).mean()

    def theory(self) -> dict[str, float]:
        if self.start == "random":
            return {}
        weight, target = 0.0, 0.0
        if isinstance(self.loss, VRNLoss):
            weight, target = self.loss.weight, self.loss.target
        c = batch_negative(self.batch, self.loss.temperature, weight, target)
        share = (self.batch - 1) / (self.pairs - 1)
        return {"variance": share * (1 - share) * c**2, "negative": c}
