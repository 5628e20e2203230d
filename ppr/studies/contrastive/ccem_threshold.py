"""The temperature at which the sigmoid loss's optimal embedding changes, measured and in formula.

Lee, Chang and Sohn, arXiv:2402.12613; setting and notation in ccem.py, with b = t. The optimum is
antipodal (s = -1) up to one temperature and a simplex (s = 1) from another:

    t_antipodal = 1/2 log((N-2)/2)          t_simplex = (N-1)/N log(N-3)

Measured: the s of free embeddings at temperatures ever nearer to the threshold, within the range
where it moves, and from them the t that s = -1 or 1 lies at.

Metrics: `measured/…` and `theory/…` of `antipodal` and `simplex`.
"""

from __future__ import annotations

import math

from torch import Tensor

from ppr.engine.bench import Bench
from ppr.errors import RunFailed
from ppr.fields import Annotated, Count, Ge
from ppr.losses.contrastive.siglip import siglip
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import minimise, pair_similarities, random_sphere
from ppr.studies.contrastive.thresholds import Optimum, reach
from ppr.studies.study import Study

MOVING = 0.7
"""|s| below this is well within the range."""
FIRST_STEP = 0.02


@component("task")
class CCEMThreshold(Study):
    def __init__(
        self, bench: Bench, *, pairs: Annotated[int, Ge(5)] = 10, steps: Count = 2000
    ) -> None:
        super().__init__(bench)
        self.pairs = pairs
        self.steps = steps

    def measure(self) -> dict[str, dict[str, float]]:
        N = self.pairs
        start = random_sphere(2, N, N, seed=self.bench.seed, purpose="threshold")
        middle = self._between(start.to(self.bench.device))
        measured = {
            "antipodal": reach(self._optimum, middle, -FIRST_STEP, -1.0),
            "simplex": reach(self._optimum, middle, FIRST_STEP, 1.0),
        }
        theory = {
            "antipodal": math.log((N - 2) / 2) / 2,
            "simplex": (N - 1) / N * math.log(N - 3),
        }
        return {"measured": measured, "theory": theory}

    def _optimum(self, t: float, start: Tensor) -> Optimum:
        found = minimise(lambda x: siglip(x[0], x[1], temperature=t, bias=-t), start, self.steps)
        return Optimum(t, pair_similarities(*found)["positive"], found)

    def _between(self, start: Tensor) -> Optimum:
        """An optimum within the range where it moves."""
        low, high = 0.0, 2 * math.log(self.pairs)
        for _ in range(30):
            optimum = self._optimum((low + high) / 2, start)
            if abs(optimum.s) < MOVING:
                return optimum
            low, high = (optimum.t, high) if optimum.s < 0 else (low, optimum.t)
        raise RunFailed("no temperature found at which the optimum moves")
