"""When supervised contrastive loss collapses classes: the variance left within, and its formula.

Lee et al., "A Theoretical Framework for Preventing Class Collapse in Supervised Contrastive
Learning", AISTATS 2025, arXiv:2503.08203; the loss is losses/supcl.py, of m classes, n samples a
class, two views. Its optima are simplex-to-simplex: with all views of a sample alike, class means
form a simplex of squared norm 1 - w, the samples of a class a simplex of squared norm w around it:

    same class        a = 1 - w n/(n-1)
    another class     b = -(1-w)/(m-1)

so w is the variance within classes, 1 - w that between them, from w = 0 (collapse) to
w = m (n-1)/(m n - 1), where all m n samples are one simplex. The loss is convex in w (derived for
the loss as its code has it): with E = e^{-m/((m-1) t)}, w > 0 if and only if

    alpha > alpha_c = 1 - (n-1)/n (1-E)/(1 + (m-1) E)

and then  (e^{a/t} - e^{b/t}) / (e^{1/t} + (n-1) e^{a/t} + (m-1) n e^{b/t}) = (1-alpha)/(n-1).

Metrics: `measured/…` and `theory/…` of `within` (variance within classes), `between` and `total`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge
from ppr.losses.contrastive.supcl import SupCLLoss
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import minimise, random_sphere
from ppr.studies.study import Study


def collapse_threshold(classes: int, samples: int, temperature: float) -> float:
    """alpha_c: classes collapse at this alpha and below."""
    E = math.exp(-classes / ((classes - 1) * temperature))
    return 1 - (samples - 1) / samples * (1 - E) / (1 + (classes - 1) * E)


def within_variance(classes: int, samples: int, alpha: float, temperature: float) -> float:
    """w at the optimum."""
    m, n, t = classes, samples, temperature

    def slope(w: float) -> float:
        same, other = 1 - w * n / (n - 1), -(1 - w) / (m - 1)
        # All less the exponent of a sample with itself, 1/t.
        near, far = math.exp((same - 1) / t), math.exp((other - 1) / t)
        share = (near - far) / (1 + (n - 1) * near + (m - 1) * n * far)
        return (1 - alpha) / (n - 1) - share

    widest = m * (n - 1) / (m * n - 1)
    if slope(0.0) >= 0:
        return 0.0
    # At alpha = 1 the root is the end, on either side of it by rounding.
    return widest if slope(widest) <= 0 else float(brentq(slope, 0.0, widest, xtol=1e-15))


def variances(z: Tensor, labels: Tensor) -> dict[str, float]:
    """Of embeddings [N, V, D]: around the mean of their class, of the class means, and both."""
    flat, classes = z.flatten(0, 1), labels.repeat_interleave(z.shape[1])
    members = F.one_hot(classes).to(flat.dtype)
    means = (members.T @ flat) / members.sum(0)[:, None]
    within = (flat - means[classes]).square().sum(1).mean().item()
    between = (means[classes] - flat.mean(0)).square().sum(1).mean().item()
    return {"within": within, "between": between, "total": within + between}


@component("task", losses="contrastive")
class ClassCollapse(Study):
    """
    Raises:
        BadRequest: a loss other than supcl.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        classes: Annotated[int, Ge(2)] = 2,
        samples: Annotated[int, Ge(2)] = 3,
        views: Count = 2,
        steps: Count = 1000,
    ) -> None:
        super().__init__(bench)
        self.classes, self.samples, self.views = classes, samples, views
        self.steps = steps
        self.loss = bench.build("loss")
        if not isinstance(self.loss, SupCLLoss):
            raise BadRequest("loss: must be supcl, of which alone the formula is")

    def measure(self) -> dict[str, dict[str, float]]:
        m, n = self.classes, self.samples
        start = random_sphere(m * n, self.views, m * n, seed=self.bench.seed, purpose="collapse")
        labels = torch.arange(m, device=self.bench.device).repeat_interleave(n)
        found = minimise(lambda z: self.loss(z, labels), start.to(self.bench.device), self.steps)
        return {"measured": variances(found, labels), "theory": self.theory()}

    def theory(self) -> dict[str, float]:
        w = within_variance(self.classes, self.samples, self.loss.alpha, self.loss.temperature)
        return {"within": w, "between": 1 - w, "total": 1.0}
