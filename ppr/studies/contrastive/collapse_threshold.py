"""The share of self-supervised loss at which classes begin to keep a variance, and its formula.

Lee et al., arXiv:2503.08203; setting, notation and the formula of alpha_c in class_collapse.py.
Measured: the variance within classes w of free embeddings at values of alpha ever nearer to the
threshold, but above it, and from them the alpha that w = 0 lies at.

Metrics: `measured/alpha` and `theory/alpha`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.fields import Annotated, Count, Ge, Positive
from ppr.losses.contrastive.supcl import supcl
from ppr.registry import component
from ppr.studies.contrastive.class_collapse import collapse_threshold, variances
from ppr.studies.contrastive.free_embeddings import minimise, random_sphere
from ppr.studies.contrastive.thresholds import Optimum, reach
from ppr.studies.study import Study

BEGIN = 0.9
"""An alpha at which no class collapses."""
FIRST_STEP = -0.05


@component("task")
class CollapseThreshold(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        classes: Annotated[int, Ge(2)] = 2,
        samples: Annotated[int, Ge(2)] = 3,
        views: Count = 2,
        temperature: Positive = 1.0,
        steps: Count = 1000,
    ) -> None:
        super().__init__(bench)
        self.classes, self.samples, self.views = classes, samples, views
        self.temperature = temperature
        self.steps = steps

    def measure(self) -> dict[str, dict[str, float]]:
        m, n = self.classes, self.samples
        start = random_sphere(m * n, self.views, m * n, seed=self.bench.seed, purpose="collapse")
        begin = self._optimum(BEGIN, start.to(self.bench.device))
        measured = {"alpha": reach(self._optimum, begin, FIRST_STEP, 0.0)}
        return {
            "measured": measured,
            "theory": {"alpha": collapse_threshold(m, n, self.temperature)},
        }

    def _optimum(self, alpha: float, start: Tensor) -> Optimum:
        labels = torch.arange(self.classes, device=start.device).repeat_interleave(self.samples)
        found = minimise(
            lambda z: supcl(z, labels, alpha=alpha, temperature=self.temperature),
            start,
            self.steps,
        )
        return Optimum(alpha, variances(found, labels)["within"], found)
