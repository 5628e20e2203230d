"""Scalar quantisation of two factors for their product: the best density of levels, its constant.

"Optimal Scalar Quantization for Matrix Multiplication: Closed-Form Density and Phase Transition",
2026. Entries of A and B are quantised to K levels each; (X, Y) is one of the pairs that an inner
product multiplies, Gaussian of unit variance and correlation rho. With many levels of density
lambda, quantising X alone costs, for each pair,

    K^2 E[(X - X^)^2 Y^2]  ->  C = (1/12) int f(u) g(u) / lambda(u)^2 du
    g(u) = E[Y^2 | X = u] = 1 - rho^2 + rho^2 u^2

(leading term, derived again), least for lambda ~ (f g)^{1/3} ~ exp(-u^2/6) g(u)^{1/3}, and then
C = (int (f g)^{1/3})^3 / 12. That density has one peak, at 0, up to |rho| = 1/sqrt 3, and beyond it
two, at +- sqrt(3 - 1/rho^2). Densities:

    optimal    that one
    marginal   f^{1/3}, which is the best for X itself
    uniform    evenly spaced within a clip, itself the best for this K
    free       no density: the levels that generalised Lloyd finds, from evenly spaced ones

Levels of a density are its quantiles (2i-1)/(2K), borders lie half-way.

Metrics: `measured/constant`, K^2 times the exact error, an integral of Gaussian moments over cells;
`theory/constant`, C; `measured/ratio`, the former over the optimal C. `measured/product`, K^2 times
the squared error of an inner product of INNER pairs for each of them, both factors quantised,
sampled; `theory/product`, 2 C. For free levels `measured/peak`, where they lie most densely,
against `theory/peak`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Annotated, Fraction, Ge, Literal, Whole
from ppr.registry import component
from ppr.studies.study import Study

Array = NDArray[np.float64]

EDGE = 14.0
"""Densities fall as exp(-u^2/6): nothing is left here."""
GRID = np.linspace(-EDGE, EDGE, 280_001)
LLOYD_STEPS = 10_000
INNER = 16
"""Small beside K^2: an inner product's bias, of about 1/K^2 a pair, is nothing then."""


def conditional(u: Array, rho: float) -> Array:
    """E[Y^2 | X = u]."""
    return 1 - rho**2 + rho**2 * u**2


def normal(u: Array) -> Array:
    return np.asarray(np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi))


def peak(rho: float) -> float:
    return float(np.sqrt(max(3 - 1 / rho**2, 0.0))) if rho else 0.0


def density(which: str, rho: float) -> Array:
    """The density of levels, on the grid."""
    weight = normal(GRID) * (conditional(GRID, rho) if which == "optimal" else 1)
    shape = weight ** (1 / 3)
    return np.asarray(shape / trapezoid(shape, GRID))


def constant(levels_density: Array, rho: float) -> float:
    """C of a density on the grid."""
    weight = normal(GRID) * conditional(GRID, rho)
    return float(trapezoid(weight / levels_density**2, GRID) / 12)


def quantiles(levels_density: Array, K: int) -> Array:
    below = cumulative_trapezoid(levels_density, GRID, initial=0.0)
    return np.interp((2 * np.arange(K) + 1) / (2 * K), below / below[-1], GRID)


def cell_moments(borders: Array) -> list[Array]:
    """int u^n f(u) du over each cell, n = 0 to 4; the borders are those between levels."""
    ends = np.concatenate([[-EDGE], borders, [EDGE]])
    a, b = ends[:-1], ends[1:]
    # By the tail that is nearer, or a far cell would be a difference of ones.
    mass = np.where(a > 0, ndtr(-a) - ndtr(-b), ndtr(b) - ndtr(a))
    moments = [mass, normal(a) - normal(b)]
    for n in (2, 3, 4):
        moments.append(
            (n - 1) * moments[n - 2] + a ** (n - 1) * normal(a) - b ** (n - 1) * normal(b)
        )
    return moments


def weighted_moments(levels: Array, rho: float) -> list[Array]:
    """int u^n f(u) g(u) du over each level's cell, n = 0 to 2."""
    moments = cell_moments((levels[1:] + levels[:-1]) / 2)
    return [(1 - rho**2) * moments[n] + rho**2 * moments[n + 2] for n in range(3)]


def error(levels: Array, rho: float) -> float:
    """E[(X - X^)^2 Y^2]."""
    zero, first, second = weighted_moments(levels, rho)
    return float((second - 2 * levels * first + levels**2 * zero).sum())


def lloyd(K: int, rho: float) -> Array:
    """Every level at its cell's weighted mean: a fixed point, from evenly spaced levels."""
    levels = np.linspace(-4, 4, K)
    for _ in range(LLOYD_STEPS):
        zero, first, _ = weighted_moments(levels, rho)
        levels = first / zero
    return levels


def best_clip(K: int, rho: float) -> Array:
    def spaced(clip: float) -> Array:
        return clip * (2 * np.arange(K) + 1 - K) / K

    found = minimize_scalar(lambda c: error(spaced(c), rho), bounds=(0.5, EDGE), method="bounded")
    return spaced(float(found.x))


def densest(levels: Array) -> float:
    """The place above 0 where neighbours lie nearest to each other: the vertex of a parabola."""
    half = levels[len(levels) // 2 - 1 :]  # from the one level below 0
    middles, crowd = (half[1:] + half[:-1]) / 2, 1 / np.diff(half)
    top = int(crowd.argmax())
    if top == 0:
        return float(middles[0])
    some = slice(top - 2, top + 3) if top >= 2 else slice(0, 5)
    bend, slope, _ = np.polyfit(middles[some], crowd[some], 2)
    return float(-slope / (2 * bend))


@component("task")
class MatmulQuantisation(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        rho: Fraction = 0.8,
        levels: Annotated[int, Ge(8)] = 512,
        density: Literal["optimal", "marginal", "uniform", "free"] = "optimal",
        samples: Whole = 0,
    ) -> None:
        super().__init__(bench)
        self.rho, self.levels, self.density, self.samples = rho, levels, density, samples

    def measure(self) -> dict[str, dict[str, float]]:
        K, rho = self.levels, self.rho
        builders: dict[str, Callable[[], Array]] = {
            "uniform": lambda: best_clip(K, rho),
            "free": lambda: lloyd(K, rho),
        }
        build = builders.get(self.density, lambda: quantiles(density(self.density, rho), K))
        levels = build()
        found = K**2 * error(levels, rho)
        measured = {"constant": found, "ratio": found / constant(density("optimal", rho), rho)}
        # Free levels have no better density than the optimal; uniform ones have no limit at all.
        theory = {}
        if self.density != "uniform":
            which = "optimal" if self.density == "free" else self.density
            theory["constant"] = constant(density(which, rho), rho)
        if self.density == "free":
            measured["peak"], theory["peak"] = densest(levels), peak(rho)
        if self.samples:
            measured["product"] = K**2 * self._product_error(levels)
            theory["product"] = 2 * theory["constant"]
        return {"measured": measured, "theory": theory}

    def _product_error(self, levels: Array) -> float:
        """Of inner products of INNER pairs, for each pair."""
        random = np.random.default_rng(derive(self.bench.seed, "pairs"))
        x, noise = random.standard_normal((2, self.samples, INNER))
        y = self.rho * x + np.sqrt(1 - self.rho**2) * noise
        borders = (levels[1:] + levels[:-1]) / 2
        rounded = [levels[np.searchsorted(borders, values)] for values in (x, y)]
        wrong = (x * y - rounded[0] * rounded[1]).sum(1)
        return float((wrong**2).mean() / INNER)
