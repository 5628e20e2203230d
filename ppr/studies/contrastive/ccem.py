"""The optimum of the sigmoid loss: how similar matching and other pairs are, against its formula.

Lee, Chang and Sohn, "Analysis of Using Sigmoid Loss for Contrastive Learning", AISTATS 2024,
arXiv:2402.12613, with the signs of its code (leechungpa/ccem-cl, synthetic.py), on N pairs of unit
vectors in N dimensions:

    L = 1/N [ sum_i log(1 + e^{-(t u_i.v_i - b)}) + sum_{i != j} log(1 + e^{t u_i.v_j - b}) ]

Any unit vectors of mean matching cosine s have a mean other cosine of at least

    c(s) = ((N-2) s - N) / (2 (N-1))

which the double-constant model (all matching cosines s, all others c(s)) attains, so L being convex
in the cosines, an optimum is in it: the s in [-1, 1] where

    (N-2)/2 sigma(t c(s) - b) = sigma(b - t s)

or the end that the sign points to: -1, all u_i = -v_j = u ("antipodal"), or 1, a simplex. InfoNCE,
the loss it is compared with, has its optimum at s = 1 whatever its temperature.

The config's loss, `siglip` (whose bias is -b) or `infonce`, is minimised over free embeddings.
Metrics: `measured/…` and `theory/…` of `positive`, `negative` (the mean other cosine) and
`negative_spread` (their standard deviation).
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge
from ppr.losses.contrastive.infonce import InfoNCELoss
from ppr.losses.contrastive.siglip import SigLIPLoss
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import minimise, pair_similarities, random_sphere
from ppr.studies.study import Study


def lowest_negative(s: float, pairs: int) -> float:
    """c(s): the least mean cosine of the others, where that of the matching is s."""
    return ((pairs - 2) * s - pairs) / (2 * (pairs - 1))


def optimal_positive(pairs: int, t: float, b: float) -> float:
    """The matching cosine at the optimum of the sigmoid loss."""

    def slope(s: float) -> float:
        pull = _sigmoid(b - t * s)
        return (pairs - 2) / 2 * _sigmoid(t * lowest_negative(s, pairs) - b) - pull

    if slope(1.0) <= 0:
        return 1.0
    if slope(-1.0) >= 0:
        return -1.0
    return float(brentq(slope, -1.0, 1.0, xtol=1e-15))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


@component("task", losses="two-tower")
class CCEM(Study):
    """
    Raises:
        BadRequest: a loss whose optimum has no formula here.
    """

    def __init__(
        self, bench: Bench, *, pairs: Annotated[int, Ge(3)] = 10, steps: Count = 2000
    ) -> None:
        super().__init__(bench)
        self.pairs = pairs
        self.steps = steps
        self.loss = bench.build("loss")
        if not isinstance(self.loss, SigLIPLoss | InfoNCELoss) or list(self.loss.parameters()):
            raise BadRequest("loss: must be infonce, or siglip with loss.learnable=false")

    def measure(self) -> dict[str, dict[str, float]]:
        start = random_sphere(2, self.pairs, self.pairs, seed=self.bench.seed, purpose="ccem")
        u, v = minimise(self._value, start.to(self.bench.device), self.steps)
        return {"measured": pair_similarities(u, v), "theory": self.theory()}

    def theory(self) -> dict[str, float]:
        s = 1.0
        if isinstance(self.loss, SigLIPLoss):
            s = optimal_positive(self.pairs, float(self.loss.temperature), -float(self.loss.bias))
        return {"positive": s, "negative": lowest_negative(s, self.pairs), "negative_spread": 0.0}

    def _value(self, x: Tensor) -> Tensor:
        loss: Tensor = self.loss(x[0], x[1])
        return loss
