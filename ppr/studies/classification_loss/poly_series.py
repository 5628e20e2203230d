"""PolyLoss's view of cross-entropy: its series in 1 - p, how fast it converges, and Poly-1.

Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", ICLR
2022, arXiv:2204.12511. With p the probability of the true class,

    -log p = sum_{j >= 1} (1 - p)^j / j
    R_N = sum_{j > N} (1 - p)^j / j  <=  (1 - p)^(N + 1) / ((N + 1) p)

the bound by a geometric series. The cross-entropy and the Poly-1 loss are those that runs train
with, in float64, on two logits with the given p.

Metrics: `measured/remainder`, cross-entropy less the first `terms` terms; `theory/remainder`, the
bound; `series/slack`, the bound less the remainder; `series/poly1`, the difference of the Poly-1
loss with epsilon = 2 from the series with 1 + 2 for its first coefficient (10,000 terms).
"""

from __future__ import annotations

import torch

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction
from ppr.losses.classification_loss.cross_entropy import CrossEntropyLoss
from ppr.losses.classification_loss.polyloss import PolyLoss
from ppr.registry import component
from ppr.studies.study import Study

EPSILON = 2.0
MANY = 10_000


@component("task")
class PolySeries(Study):
    """
    Raises:
        BadRequest: a probability of 0 or 1.
    """

    def __init__(self, bench: Bench, *, probability: Fraction = 0.5, terms: Count = 10) -> None:
        super().__init__(bench)
        if not 0 < probability < 1:
            raise BadRequest(
                f"task.probability={probability}: must be between 0 and 1, and neither"
            )
        self.probability = probability
        self.terms = terms

    def measure(self) -> dict[str, dict[str, float]]:
        p = self.probability
        logits = torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
        target = torch.tensor([0])
        powers = torch.arange(1, MANY + 1, dtype=torch.float64)
        series = (1 - p) ** powers / powers
        remainder = (CrossEntropyLoss()(logits, target) - series[: self.terms].sum()).item()
        bound = (1 - p) ** (self.terms + 1) / ((self.terms + 1) * p)
        poly = PolyLoss(epsilon=EPSILON)(logits, target)
        changed = series.sum() + EPSILON * series[0]
        return {
            "measured": {"remainder": remainder},
            "theory": {"remainder": bound},
            "series": {"slack": bound - remainder, "poly1": (poly - changed).abs().item()},
        }
