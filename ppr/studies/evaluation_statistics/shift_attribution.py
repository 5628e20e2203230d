"""Which mechanism of a causal graph a change of a model's loss comes from, by Shapley values.

Zhang et al., '"Why did the Model Fail?": Attributing Model Performance Changes to Distribution
Shifts', arXiv:2210.10769, at the setting of examples/synthetic.ipynb in MLforHealth/expl_perf_drop
at 0c09bf2. Both domains are drawn of

    G ~ Bernoulli(p)   Y = G with chance q, else not G   Y_k = Y flipped with chance y_noise
    X1 ~ N(w Y_1, 1)   X2 ~ N(Y_2 or G, 1)               X3 ~ N(Y_3 + m G, 1)

(the notebook's sum for X2 is of two Booleans, which NumPy takes for `or`). A classifier is fitted
to X1..X3 of the source; the players are the mechanisms P(G), P(Y|G), P(X1|Y), P(X2|G,Y), P(X3|G,Y).
The value of a coalition C is

    v(C) = sum_i w_i l_i / sum_i w_i - mean_i l_i,   w = prod over C of r(x, parents) / r(parents)

over evaluation samples of the source, l their Brier losses, r(a) = P(target | a) / P(source | a) by
a classifier; a mechanism's attribution is its Shapley value

    phi_i = sum over C without i of |C|! (n-1-|C|)! / n! [v(C and i) - v(C)].

Classifiers are boosted trees, `rounds` of them, of a depth chosen among 1 to 5 by the area under
the ROC curve in three folds, as there, but scikit-learn's at the rate and penalty of XGBoost's
defaults.

`moved` are the mechanisms whose parameters differ in the target: G (p 0.5 -> 0.8), Y (q 0.9 ->
0.1), X1 (w 1 -> 0), X2 (y_noise 0.25 -> 0.5) and X3 (m 3 -> 1); null is the notebook's, Y alone.
`ratios: exact` takes the densities' ratios in place of classifiers'. `draw` is the number of the
draw, the run's seed where it is null: 0 is the notebook's own, by the generators 0 and 1.

Metrics. `brier/source` and `brier/target` on held-out samples; `phi/<mechanism>`, and `scaled/…`,
these times a factor that makes their sum the change; `truth/…`, the Shapley values of v(C) where
the loss under a coalition is the mean over `truth_samples` drawn with its mechanisms from the
target; `share/…`, phi over the sum of these, the true change; `error/worst`, the largest |phi -
truth|, and `error/share`, that over the true change; `weights/effective`, (sum w)^2 / (N sum w^2)
of all mechanisms' weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.errors import BadRequest
from ppr.fields import Count, Literal, Whole
from ppr.registry import component
from ppr.studies.study import Study

Array = NDArray[np.float64]
Coalition = frozenset[str]

COLUMNS = ("G", "Y", "X1", "X2", "X3")
PARENTS = {"G": (), "Y": ("G",), "X1": ("Y",), "X2": ("G", "Y"), "X3": ("G", "Y")}
FEATURES = [COLUMNS.index(name) for name in ("X1", "X2", "X3")]
HELD_OUT = 0.25


@dataclass(frozen=True)
class Domain:
    """The parameters of each mechanism."""

    p: float = 0.5
    q: float = 0.9
    w: float = 1.0
    noise: float = 0.25
    m: float = 3.0


MOVED: dict[str, dict[str, float]] = {
    "G": {"p": 0.8}, "Y": {"q": 0.1}, "X1": {"w": 0.0}, "X2": {"noise": 0.5}, "X3": {"m": 1.0}
}  # fmt: skip


def drawn(mechanisms: dict[str, Domain], n: int, random: Any) -> Array:
    """Samples [n, 5] of the columns G, Y, X1, X2, X3, each by its mechanism's own domain.

    `random` has `random` and `normal` of NumPy's generators, asked in the order of the notebook.
    """
    size = (n, 1)
    g = random.random(size=size) >= 1 - mechanisms["G"].p
    y = np.logical_xor(g, random.random(size=size) >= mechanisms["Y"].q)
    flips = [mechanisms[name].noise for name in ("X1", "X2", "X3")]
    noisy = [np.logical_xor(y, random.random(size=size) <= flip) for flip in flips]
    x1 = random.normal(loc=mechanisms["X1"].w * noisy[0], size=size)
    x2 = random.normal(loc=noisy[1] | g, size=size)
    x3 = random.normal(loc=noisy[2] + mechanisms["X3"].m * g, size=size)
    return np.concatenate([g, y, x1, x2, x3], axis=1).astype(float)


def log_density(name: str, domain: Domain, data: Array) -> Array:
    """Of a mechanism at samples [N, 5], given its parents there."""
    g, y, *x = data.T
    if name == "G":
        return np.log(np.where(g == 1, domain.p, 1 - domain.p))
    if name == "Y":
        return np.log(np.where(y == g, domain.q, 1 - domain.q))
    means: Callable[[int], Array] = {
        "X1": lambda flipped: domain.w * flipped + 0 * g,
        "X2": lambda flipped: np.maximum(flipped, g),
        "X3": lambda flipped: flipped + domain.m * g,
    }[name]
    at = x[int(name[1]) - 1]
    chance = np.where(y == 1, 1 - domain.noise, domain.noise)  # that the flipped label is 1
    one, none = (norm.pdf(at, means(flipped)) for flipped in (1, 0))
    density: Array = np.log(chance * one + (1 - chance) * none)
    return density


def shapley(players: Sequence[str], value: Callable[[Coalition], float]) -> dict[str, float]:
    """Each player's mean gain over all orders in which a coalition grows; exact, 2^n values."""
    n = len(players)
    every = [Coalition(c) for size in range(n + 1) for c in combinations(players, size)]
    known = {coalition: value(coalition) for coalition in every}
    found = {}
    for player in players:
        gains = (
            math.factorial(len(c))
            * math.factorial(n - 1 - len(c))
            * (known[c | {player}] - known[c])
            for c in every
            if player not in c
        )
        found[player] = sum(gains) / math.factorial(n)
    return found


def boosted(inputs: Array, classes: Array, rounds: int) -> Callable[[Array], Array]:
    """The chance of class 1 by trees of the depth that ranks best in three folds."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GridSearchCV

    trees = HistGradientBoostingClassifier(
        learning_rate=0.3, max_iter=rounds, max_leaf_nodes=None, min_samples_leaf=1,
        l2_regularization=1.0, early_stopping=False,
    )  # fmt: skip
    search = GridSearchCV(trees, {"max_depth": [1, 2, 3, 4, 5]}, scoring="roc_auc", cv=3)
    search.fit(inputs, classes)

    def chance(at: Array) -> Array:
        found: Array = search.predict_proba(at)[:, 1]
        return found

    return chance


@component("task")
class ShiftAttribution(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        moved: list[Literal["G", "Y", "X1", "X2", "X3"]] | None = None,
        ratios: Literal["estimated", "exact"] = "estimated",
        draw: Whole | None = None,
        samples: Count = 20_000,
        truth_samples: Count = 200_000,
        rounds: Count = 100,
    ) -> None:
        super().__init__(bench)
        self.moved, self.ratios = ["Y"] if moved is None else moved, ratios
        if not self.moved or len(set(self.moved)) < len(self.moved):
            raise BadRequest(f"task.moved={self.moved}: one or more mechanisms, each once")
        self.draw = bench.seed if draw is None else draw
        self.samples, self.truth_samples, self.rounds = samples, truth_samples, rounds
        self.source = Domain()
        self.target = {
            name: replace(self.source, **MOVED[name] if name in self.moved else {})
            for name in COLUMNS
        }

    def check(self) -> None:
        self.samples, self.truth_samples, self.rounds = 400, 400, 1
        super().check()

    def measure(self) -> dict[str, dict[str, float]]:
        (train, source), (there, target) = self.domains()
        model = boosted(train[:, FEATURES], train[:, 1], self.rounds)

        def losses(data: Array) -> Array:
            return np.square(model(data[:, FEATURES]) - data[:, 1])

        own, weights = losses(source), self.weights(train, there, source)

        def weighted(coalition: Coalition) -> float:
            w = np.prod([weights[name] for name in coalition], axis=0) * np.ones(len(own))
            return float(w @ own / w.sum() - own.mean())

        before, after = float(own.mean()), float(losses(target).mean())
        phi = shapley(COLUMNS, weighted)
        truth = dict.fromkeys(COLUMNS, 0.0) | self.truth(losses)
        worst = max(abs(phi[name] - truth[name]) for name in COLUMNS)
        scale = (after - before) / sum(phi.values())
        whole = np.prod(list(weights.values()), axis=0)
        effective = whole.sum() ** 2 / np.square(whole).sum() / len(whole)
        return {
            "brier": {"source": before, "target": after},
            "phi": phi,
            "scaled": {name: scale * value for name, value in phi.items()},
            "share": {name: value / sum(truth.values()) for name, value in phi.items()},
            "truth": truth,
            "error": {"worst": worst, "share": worst / abs(sum(truth.values()))},
            "weights": {"effective": float(effective)},
        }

    def domains(self) -> list[tuple[Array, Array]]:
        """Samples to fit and to evaluate with, of the source and of the target."""
        from sklearn.model_selection import train_test_split

        mechanisms = dict.fromkeys(COLUMNS, self.source), self.target
        found = []
        for at, each in zip((2 * self.draw, 2 * self.draw + 1), mechanisms, strict=True):
            data = drawn(each, self.samples, np.random.RandomState(at))
            fit, held = train_test_split(data, random_state=at, test_size=HELD_OUT)
            found.append((fit, held))
        return found

    def weights(self, source: Array, target: Array, at: Array) -> dict[str, Array]:
        """Each mechanism's ratio of target to source at samples, by what both were seen to be."""
        if self.ratios == "exact":
            return {
                name: np.exp(
                    log_density(name, self.target[name], at) - log_density(name, self.source, at)
                )
                for name in COLUMNS
            }
        known: dict[tuple[str, ...], Array] = {(): np.ones(len(at))}

        def ratio(names: Iterable[str]) -> Array:
            key = tuple(sorted(names, key=COLUMNS.index))
            if key not in known:
                columns = [COLUMNS.index(name) for name in key]
                both = np.concatenate([source[:, columns], target[:, columns]])
                domain = np.repeat([0.0, 1.0], [len(source), len(target)])
                chance = boosted(both, domain, self.rounds)(at[:, columns])
                known[key] = chance / (1 - chance)
            return known[key]

        return {name: ratio((name, *PARENTS[name])) / ratio(PARENTS[name]) for name in COLUMNS}

    def truth(self, losses: Callable[[Array], Array]) -> dict[str, float]:
        """The Shapley values of the moved mechanisms, by drawing from each coalition's domain."""

        def value(coalition: Coalition) -> float:
            mechanisms = {
                name: self.target[name] if name in coalition else self.source for name in COLUMNS
            }
            random = np.random.default_rng(derive(self.draw, "truth", *sorted(coalition)))
            return float(losses(drawn(mechanisms, self.truth_samples, random)).mean())

        return shapley(self.moved, value)
