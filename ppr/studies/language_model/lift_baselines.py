"""The baselines that LIFT is compared with on made-up regressions.

Dinh et al., "LIFT: Language-Interfaced Fine-Tuning for Non-Language Machine Learning Tasks",
NeurIPS 2022, arXiv:2206.06565. Of 200 noisy samples of a function of one or two inputs each method
is fitted, the best of its few settings chosen on 50 more, and the relative absolute error taken on
100 noiseless ones,

    RAE = sum |f - y| / sum |mean(y) - y|        over those with |f - y| <= 3 RMSE

as regression/utils/resultsCollector.py of github.com/UW-Madison-Lee-Lab/
LanguageInterfacedFineTuning (f0a55a4) does, and with its methods, settings and data: inputs, noise
and test points are drawn with seed 123, whatever the repetition, and the run's seed parts the
samples into those fitted and those chosen on. No language model is run.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component
from ppr.studies.study import Study

Array = NDArray[np.float64]

DATA_SEED = 123
NOISE = 0.1
"""Of the deviation of the function's values."""
FITTED, CHOSEN, TESTED = 200, 50, 100


def _piece(x: Array) -> Array:
    bent = np.where(x < -3, x + 6, np.where(x < 3, 0, x - 6))
    return ((bent + 4) / 8 - 0.5) * 18


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: 0.9 * x,
    "quadratic": lambda x: (x**2 - 50) * 9 / 50,
    "exponential": lambda x: 18 * ((np.exp(0.2 * x) - np.exp(-2)) / (np.exp(2) - np.exp(-2)) - 0.5),
    "cosine": lambda x: 9 * np.cos(0.5 * np.pi * x),
    "l1norm": lambda x: 18 * (np.abs(x) / 10 - 0.5),
    "piecewise": _piece,
}
"""Of each input; the value is their mean."""


@component("task")
class LiftBaselines(Study):
    """
    Args:
        inputs: how many a sample has.
        low, high: their range.
        integer: inputs and noisy values are rounded.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        function: Literal[
            "linear", "quadratic", "exponential", "cosine", "l1norm", "piecewise"
        ] = "linear",
        inputs: Count = 1,
        low: float = -10.0,
        high: float = 10.0,
        integer: bool = False,
        trees: Count = 500,
    ) -> None:
        super().__init__(bench)
        if low >= high:
            raise BadRequest(f"task.low={low}: must be below task.high={high}")
        self.function, self.inputs, self.integer = function, inputs, integer
        self.range, self.trees = (low, high), trees

    def measure(self) -> dict[str, dict[str, float]]:
        X, y, X_test, y_test = draw(self.function, self.inputs, self.range, self.integer)
        order = list(range(len(X)))
        random.Random(self.bench.seed).shuffle(order)
        fitted, chosen = order[:FITTED], order[FITTED:]
        found = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that 500 rounds or a bound were not enough for a fit
            for name, candidates in methods(self.trees, self.bench.seed).items():
                best, least = None, np.inf
                for model in candidates:
                    model.fit(X[fitted], y[fitted])
                    error = relative_error(model.predict(X[chosen]), y[chosen])
                    if best is None or error < least:
                        best, least = model, error
                assert best is not None
                error = relative_error(*without_far(best.predict(X_test), y_test))
                found[name] = {"rae": float(error)}
        return found

    def check(self) -> None:
        self.trees = 5
        self.measure()


def draw(
    function: str, inputs: int, span: tuple[float, float], integer: bool
) -> tuple[Array, Array, Array, Array]:
    """Samples X [250, inputs] with noisy y [250], and test points with exact values."""
    drawn = np.random.RandomState(DATA_SEED)
    count = FITTED + CHOSEN
    X = drawn.uniform(*span, count * inputs).reshape(count, inputs)
    X = X.round() if integer else X
    X_test = drawn.uniform(*span, TESTED * inputs).reshape(TESTED, inputs)
    X_test = X_test.round() if integer else X_test
    exact = FUNCTIONS[function](X).mean(1)
    y = exact + drawn.normal(0, NOISE * np.std(exact), count)
    return X, (y.round() if integer else y), X_test, FUNCTIONS[function](X_test).mean(1)


def methods(trees: int, seed: int) -> dict[str, list[Any]]:
    """Each method with the settings that it is chosen from."""
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.linear_model import LinearRegression
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    boosted = {"n_estimators": trees, "max_depth": 4, "min_samples_split": 5, "random_state": seed}
    network = {"random_state": 1, "max_iter": 500, "hidden_layer_sizes": (50, 50, 50)}
    return {
        "polynomial": [make_pipeline(PolynomialFeatures(3), LinearRegression())],
        "kernel_ridge": [KernelRidge(kernel="rbf", gamma=gamma) for gamma in (0.01, 0.1, 1)],
        "knn": [KNeighborsRegressor(n_neighbors=k) for k in (2, 5, 8)],
        "network": [MLPRegressor(learning_rate_init=r, **network) for r in (0.01, 0.001, 0.0001)],
        "boosting": [
            GradientBoostingRegressor(learning_rate=rate, **boosted) for rate in (0.1, 0.01, 0.001)
        ],
        "forest": [
            RandomForestRegressor(n_estimators=trees, max_depth=depth, random_state=0)
            for depth in (4, 6)
        ],
        "gaussian_process": [
            GaussianProcessRegressor(
                alpha=0.16, kernel=1.41**2 * RBF(0.1), n_restarts_optimizer=restarts, random_state=0
            )
            for restarts in (5, 10)
        ],
    }


def relative_error(predicted: Array, y: Array) -> float:
    """The sum of absolute errors, relative to that of the mean."""
    return float(np.abs(predicted - y).sum() / np.abs(y.mean() - y).sum())


def without_far(predicted: Array, y: Array) -> tuple[Array, Array]:
    """Less the points whose error is over three times the root of the mean square."""
    off = np.abs(predicted - y)
    near = off <= 3 * np.sqrt((off**2).mean())
    return predicted[near], y[near]
