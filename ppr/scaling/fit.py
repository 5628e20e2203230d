"""Fit a law's positive parameters to losses, with the uncertainty of what it then predicts.

Least squares of log residuals under a Huber loss (delta 1e-3 in the literature of scaling laws),
over the parameters' logarithms, the best of several starts. Errors of fit being taken for
independent and alike, the parameters' covariance is s^2 (J^T J)^-1, and a prediction's standard
error follows from its own Jacobian (the delta method).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Array = NDArray[np.float64]
Law = Callable[[Array], tuple[Array, Array]]
"""Log-parameters [P] -> predictions [N], and their derivatives by the log-parameters [N, P]."""

LOWEST = 1e-10
FAR = 3.0
"""How far, in logarithms, a parameter may go from its start."""


@dataclass(frozen=True)
class Fit:
    """Parameters [P], the covariance of their logarithms [P, P], and the Huber cost."""

    parameters: Array
    covariance: Array
    cost: float

    def predict(self, law: Law) -> tuple[Array, Array]:
        """Predictions [N] and the standard errors of their logarithms [N]."""
        values, slopes = law(np.log(self.parameters))
        relative = slopes / values[:, None]
        variances = np.einsum("np,pq,nq->n", relative, self.covariance, relative)
        return values, np.sqrt(np.maximum(variances, 0))


def fit(law: Law, losses: Array, starts: Sequence[Array], delta: float = 1e-3) -> Fit:
    """The best fit over `starts`, each the parameters [P] to begin with."""

    def residuals(logs: Array) -> Array:
        return np.asarray(np.log(np.maximum(law(logs)[0], LOWEST)) - np.log(losses))

    def jacobian(logs: Array) -> Array:
        values, slopes = law(logs)
        return np.asarray(slopes / np.maximum(values, LOWEST)[:, None])

    found = [
        least_squares(
            residuals,
            np.log(start),
            jacobian,
            bounds=(np.log(start) - FAR, np.log(start) + FAR),
            loss="huber",
            f_scale=delta,
            x_scale="jac",
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
            max_nfev=200,
        )
        for start in starts
    ]
    best = min(found, key=lambda result: float(result.cost))
    slopes = jacobian(best.x)
    spare = max(len(losses) - len(best.x), 1)
    variance = float((residuals(best.x) ** 2).sum()) / spare
    covariance = variance * np.linalg.pinv(slopes.T @ slopes)
    return Fit(np.exp(best.x), np.asarray(covariance, np.float64), float(best.cost))
