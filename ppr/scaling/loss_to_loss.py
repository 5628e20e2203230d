"""Laws between losses of language models, and the law of size and data that their shifts come from.

Brandfonbrener et al., "Loss-to-Loss Prediction: Scaling Laws for All Datasets", arXiv:2411.12925,
as in utils_scaling.py and utils_plotting.py of KempnerInstitute/loss-to-loss-notebooks at 457ce81:

    kaplan   L(N, D) = ((A / N)^(alpha / beta) + B / D)^beta + E
    shifted  y = K (x - E_x)^kappa + E_y

`kaplan` maps (log A, log B, log E, alpha, beta) and sizes [N, 2] to losses [N] and their
derivatives [N, 5], as the laws of ladder_laws.py do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import curve_fit, minimize

from ppr.scaling.fit import Array
from ppr.scaling.ladder_laws import Predicted, huber

STARTS = [(a, b, 0.5, 0.4, 0.4) for a in (5.0, 10.0, 15.0, 20.0) for b in (5.0, 10.0, 15.0, 20.0)]
GRID = 100
"""How many shifts of each axis are tried, where neither is given."""


def kaplan(p: Array, sizes: Array) -> Predicted:
    a, b, e, alpha, beta = p
    logs = np.log(sizes)
    by_size = alpha / beta * (a - logs[:, 0])
    total = np.logaddexp(by_size, b - logs[:, 1])
    term, least = np.exp(beta * total), np.full(len(sizes), np.exp(e))
    share = np.exp(by_size - total)
    slopes = [
        term * share * alpha,
        term * (1 - share) * beta,
        least,
        term * share * (a - logs[:, 0]),
        term * (total - share * by_size),
    ]
    return term + least, np.column_stack(slopes)


@dataclass(frozen=True)
class SizeLaw:
    """`cost`: the mean Huber loss of the log residuals."""

    A: float
    B: float
    E: float
    alpha: float
    beta: float
    cost: float = 0.0

    def __call__(self, sizes: Array) -> Array:
        logs = np.log([self.A, self.B, max(self.E, 1e-300)])
        return kaplan(np.array([*logs, self.alpha, self.beta]), sizes)[0]

    @property
    def exponent(self) -> float:
        """The compute-optimal N grows with this power of the compute."""
        return self.beta / (self.alpha + self.beta)

    def through(self, power: ShiftedPower) -> SizeLaw:
        """The law of losses that are `power` of this one's, whose E is the power's shift."""
        kappa = power.kappa
        return replace(
            self,
            A=self.A * power.K ** (1 / (kappa * self.alpha)),
            B=self.B * power.K ** (1 / (kappa * self.beta)),
            E=power.y_shift,
            alpha=self.alpha * kappa,
            beta=self.beta * kappa,
        )


def fit_size_law(sizes: Array, losses: Array) -> SizeLaw:
    """The least Huber loss (1e-3) of log residuals of BFGS from the authors' 16 starts."""
    scale = 1e4 / len(losses)  # else gradients of losses this small are below any tolerance

    def cost(p: Array) -> tuple[float, Array]:
        value, slope = huber(kaplan(p, sizes), losses)
        return scale * value, scale * slope

    with np.errstate(all="ignore"):  # far steps of a search along a line
        found = [
            minimize(cost, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
            for start in STARTS
        ]
    best = min((f for f in found if np.isfinite(f.fun)), key=lambda f: float(f.fun))
    A, B, E = map(float, np.exp(best.x[:3]))
    return SizeLaw(A, B, E, float(best.x[3]), float(best.x[4]), float(best.fun) / 1e4)


@dataclass(frozen=True)
class ShiftedPower:
    kappa: float
    K: float
    x_shift: float
    y_shift: float

    def __call__(self, x: Array | float) -> Array:
        return np.asarray(self.K * np.maximum(x - self.x_shift, 0) ** self.kappa + self.y_shift)


def fit_shifted(
    x: Array, y: Array, x_shift: float | None = None, y_shift: float | None = None
) -> ShiftedPower:
    """Least squares: of the logarithms where both shifts are given, of y where that of y is not.

    With neither, each of GRID x GRID pairs of shifts is fitted in logarithms, and the one that is
    nearest in y is taken.
    """
    if x_shift is not None and y_shift is None:
        found, _ = curve_fit(
            lambda x, kappa, K, shift: K * np.power(x - x_shift, kappa) + shift,
            x, y, p0=[1, 1, 0], bounds=([0, 0, 0], [np.inf, np.inf, y.min()]), maxfev=500_000,
        )  # fmt: skip
        return ShiftedPower(found[0], found[1], x_shift, found[2])
    xs = np.linspace(0, x.min(), GRID) if x_shift is None else np.array([x_shift])
    ys = np.linspace(0, y.min(), GRID) if y_shift is None else np.array([y_shift])
    with np.errstate(all="ignore"):  # shifts that leave nothing of a value have no logarithm
        u, v = np.log(x - xs[:, None]), np.log(y - ys[:, None])
        u_mean, v_mean = u.mean(1)[:, None], v.mean(1)[:, None]
        kappa = (u - u_mean) @ (v - v_mean).T / ((u - u_mean) ** 2).sum(1)[:, None]
        log_K = v_mean.T - kappa * u_mean
        predicted = np.exp(kappa[..., None] * u[:, None] + log_K[..., None]) + ys[:, None]
        away = ((predicted - y) ** 2).mean(-1)
    i, j = np.unravel_index(np.nanargmin(away), away.shape)
    return ShiftedPower(float(kappa[i, j]), float(np.exp(log_K[i, j])), float(xs[i]), float(ys[j]))


def explained(predicted: Array, truth: Array) -> float:
    """R^2."""
    return 1 - float(((predicted - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
