"""Two Gaussian groups that respond to a fair classifier, round after round, without samples.

Guldogan et al., "Equal Improvability", ICLR 2023, section 4.2 and populationDynamics_gaussian in
algorithms/dynamics.py of guldoganozgur/ei_fairness. In each round

    t        the threshold above which a share `accepted` of both groups together lies
    b_0, b_1 the groups' own thresholds: those of least unfairness, with
             mean_z |Phi_z(t) - Phi_z(b_z)| <= accepted / 2
    x        everyone rejected, x < b_z, moves up by 1 / (b_z - x + eps)^2
    groups   become Gaussians again, of the new means and deviations

The unfairness of a rule is the absolute difference between the groups of
    dp   1 - Phi_z(b_z)                                            demographic parity
    ei   (Phi_z(b_z) - Phi_z(b_z - effort)) / Phi_z(b_z)           equal improvability
    be   Phi_z(b_z) - Phi_z(b_z - effort)                          bounded effort
    er   E[b_z - x | x < b_z]                                      equal recourse
and `erm` takes b_z = t. eps is 0.6: the code hands another one over, which its effort ignores.
Integrals are sums over a grid; thresholds are found by SLSQP, as there. All is deterministic.

Metrics: `distance/<rule>`, the total variation distance of the groups after the last round;
`distance/start`; `gap/dp_ei` and `gap/erm_ei`, how much farther apart those rules leave the groups
than `ei` does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.stats import norm

from ppr.engine.bench import Bench
from ppr.fields import Count, Fraction, Positive
from ppr.registry import component
from ppr.studies.study import Study

Array = NDArray[np.float64]
GRID = np.linspace(-8.0, 8.0, 20_001)
"""In standard deviations from the mean."""
WEIGHTS = norm.pdf(GRID) * (GRID[1] - GRID[0])


@component("task")
class ImprovabilityDynamics(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        means: list[float] | None = None,
        stds: list[Positive] | None = None,
        accepted: Fraction = 0.2,
        effort: Positive = 0.5,
        eps: Positive = 0.6,
        rounds: Count = 10,
    ) -> None:
        super().__init__(bench)
        self.means = np.array(means or [0.0, 1.0])
        self.stds = np.array(stds or [2.0, 1.0])
        self.accepted, self.effort, self.eps, self.rounds = accepted, effort, eps, rounds

    def measure(self) -> dict[str, dict[str, float]]:
        rules: dict[str, Callable[[Array, Array, Array], Array] | None] = {
            "erm": None,
            "dp": lambda b, m, s: 1 - norm.cdf(b, m, s),
            "ei": lambda b, m, s: self._improvable(b, m, s) / norm.cdf(b, m, s),
            "be": self._improvable,
            "er": _recourse,
        }
        distance = {name: self._after(rule) for name, rule in rules.items()}
        gap = {f"{name}_ei": distance[name] - distance["ei"] for name in ("erm", "dp")}
        start = total_variation(self.means, self.stds)
        return {"distance": {**distance, "start": start}, "gap": gap}

    def _improvable(self, b: Array, means: Array, stds: Array) -> Array:
        rate: Array = norm.cdf(b, means, stds) - norm.cdf(b - self.effort, means, stds)
        return rate

    def _after(self, rule: Callable[[Array, Array, Array], Array] | None) -> float:
        means, stds = self.means, self.stds
        for _ in range(self.rounds):
            thresholds = self._thresholds(rule, means, stds)
            means, stds = self._moved(thresholds, means, stds)
        return total_variation(means, stds)

    def _thresholds(
        self, rule: Callable[[Array, Array, Array], Array] | None, means: Array, stds: Array
    ) -> Array:
        low, high = (means - 3 * stds).min(), (means + 3 * stds).max()
        best = brentq(lambda t: norm.sf(t, means, stds).mean() - self.accepted, low, high)
        start = np.full(2, best)
        if rule is None:
            return start

        def unfairness(b: Array) -> float:
            of_group = rule(b, means, stds)
            return float(abs(of_group[0] - of_group[1]))

        def spare(b: Array) -> float:
            error = np.abs(norm.cdf(best, means, stds) - norm.cdf(b, means, stds)).mean()
            return float(self.accepted / 2 - error)

        found = minimize(
            unfairness,
            start,
            method="SLSQP",
            bounds=list(zip(means - 3 * stds, means + 3 * stds, strict=True)),
            constraints={"type": "ineq", "fun": spare},
        )
        thresholds: Array = found.x
        return thresholds

    def _moved(self, thresholds: Array, means: Array, stds: Array) -> tuple[Array, Array]:
        x = means[:, None] + stds[:, None] * GRID
        short = thresholds[:, None] - x
        x = x + np.where(short > 0, 1 / (np.maximum(short, 0) + self.eps) ** 2, 0.0)
        new = x @ WEIGHTS
        return new, np.sqrt((x - new[:, None]) ** 2 @ WEIGHTS)


def _recourse(b: Array, means: Array, stds: Array) -> Array:
    """E[b - x | x < b] of Gaussians, by the mean of a truncated one."""
    z = (b - means) / stds
    mean: Array = b - means + stds * norm.pdf(z) / norm.cdf(z)
    return mean


def total_variation(means: Array, stds: Array) -> float:
    """Half the integral of |p_0 - p_1|."""
    x = np.linspace((means - 8 * stds).min(), (means + 8 * stds).max(), 40_001)
    densities = norm.pdf(x, means[:, None], stds[:, None])
    return float(np.abs(densities[0] - densities[1]).sum() * (x[1] - x[0]) / 2)
