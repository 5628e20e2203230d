"""Laws of loss curves, fitted on three schedules and tested on others.

The laws are those of scaling/schedule_laws.py: Luo et al.'s multi-power law (arXiv:2503.12811)
against the annealing law and a power of the rates' sum. Curves are exact (scaling/quadratic.py),
so that a prediction can be compared with the truth; what is fitted has `noise` upon it. Fitted:
constant, cosine (to 0.1) and two-stage (to 0.3). Tested: schedules of other shapes, and of twice
the length.

Metrics, by tested schedule: `<schedule>/error`, the mean |prediction - truth|, `<schedule>/r2`, and
`<schedule>/covered`, the share of steps where the truth lies in the prediction's 95 % interval;
`mean/error` over the schedules.
"""

from __future__ import annotations

import numpy as np

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Annotated, Count, Ge, Literal, NonNegative
from ppr.registry import component
from ppr.scaling.fit import Array, Fit, fit
from ppr.scaling.quadratic import WARMUP, expected_losses, schedule
from ppr.scaling.schedule_laws import law, starts
from ppr.studies.study import Study

Z = 1.96
FITTED = (("constant", 0.1), ("cosine", 0.1), ("two_stage", 0.3))
TESTED = ("wsd", "wsd_linear", "linear", "cyclic", "longer")


def curve(kind: str, steps: int, points: int, end: float = 0.1) -> tuple[Array, Array, Array]:
    """A schedule, some of its steps after the warm-up, and the true losses there."""
    rates = schedule(kind, steps, end)
    places = np.linspace(2 * WARMUP, steps - 1, points).round()
    return rates, places, expected_losses(rates)[places.astype(int)]


def fitted(
    name: Literal["power", "annealing", "multi"],
    steps: int,
    noise: float,
    random: np.random.Generator,
    tries: int,
    points: int = 40,
) -> Fit:
    curves = [curve(kind, steps, points, end) for kind, end in FITTED]
    losses = np.concatenate([truth for _, _, truth in curves])
    losses = losses * np.exp(noise * random.standard_normal(len(losses)))
    area = float(curves[0][0].sum())
    begun = [starts(name, losses, area, random) for _ in range(tries)]
    return fit(law(name, [(rates, places) for rates, places, _ in curves]), losses, begun)


@component("task")
class LossCurveLaw(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        law: Literal["power", "annealing", "multi"] = "multi",
        steps: Annotated[int, Ge(200)] = 600,
        noise: NonNegative = 5e-4,
        tries: Count = 4,
    ) -> None:
        super().__init__(bench)
        self.law: Literal["power", "annealing", "multi"] = law
        self.steps, self.noise, self.tries = steps, noise, tries

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "curves"))
        found = fitted(self.law, self.steps, self.noise, random, self.tries)
        curves = {kind: curve(kind, self.steps, 100) for kind in TESTED[:-1]}
        curves["longer"] = curve("cosine", 2 * self.steps, 100)
        metrics = {}
        for kind, (rates, places, truth) in curves.items():
            predicted, relative = found.predict(law(self.law, [(rates, places)]))
            away = np.abs(predicted - truth)
            metrics[kind] = {
                "error": float(away.mean()),
                "r2": 1 - float((away**2).sum() / ((truth - truth.mean()) ** 2).sum()),
                "covered": float((away <= Z * relative * predicted).mean()),
            }
        metrics["mean"] = {"error": float(np.mean([metrics[kind]["error"] for kind in TESTED]))}
        return metrics
