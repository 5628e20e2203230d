"""How near a convex relaxation of a ReLU network's training comes to its least value.

Kim and Pilanci, arXiv:2402.03625: for Gaussian data, p*/p~ is O(sqrt(log n)) with high probability,
and the relaxed weights, split within their gates' cones, are a network within that factor. Programs
and names are those of _convex_relu.py; data are `samples` Gaussian inputs, `ratio` times as many as
dimensions, with a planted network. With `exact` the dimension is 2 and the exact convex program,
over all patterns, is solved too.

p~ is of `gates` sampled gates, which bounds the full relaxation from above; the network's value is
the least of `restarts`, which bounds p* from above.

Metrics: `measured/net_ratio`, network over relaxation; `measured/cone_ratio`, split network over
relaxation; `measured/duality_gap`, of the relaxation, as a share. With `exact`: `measured/value`,
the network's, against `theory/value`, the program's.
"""

from __future__ import annotations

import torch

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Annotated, Count, Fraction, Ge
from ppr.registry import component
from ppr.studies.study import Study
from ppr.studies.theory_numerics._convex_relu import (
    cone_split,
    exact_in_the_plane,
    gated_lasso,
    gates,
    planted,
    train,
)


@component("task")
class ConvexReLU(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        samples: Annotated[int, Ge(4)] = 40,
        ratio: Count = 2,
        gates: Count = 200,
        beta: Fraction = 0.05,
        width: Count = 50,
        restarts: Count = 4,
        steps: Count = 1000,
        exact: bool = False,
    ) -> None:
        super().__init__(bench)
        self.samples, self.ratio, self.gates, self.beta = samples, ratio, gates, beta
        self.width, self.restarts, self.steps, self.exact = width, restarts, steps, exact

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(torch.device("cpu"), self.bench.seed, "convex")
        d = 2 if self.exact else max(2, self.samples // self.ratio)
        problem = planted(self.samples, d, self.beta, random)
        value = train(problem, self.width, self.restarts, self.steps, random)
        if self.exact:
            return {
                "measured": {"value": value},
                "theory": {"value": exact_in_the_plane(problem)},
            }
        g, patterns = gates(problem, self.gates, random)
        W, relaxed, bound = gated_lasso(problem, patterns)
        measured = {
            "net_ratio": value / relaxed,
            "cone_ratio": cone_split(problem, W, g, patterns) / relaxed,
            "duality_gap": 1 - bound / relaxed,
        }
        return {"measured": measured}
