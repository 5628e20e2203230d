"""The multi-power law on loss curves of language models: fitted to three schedules, tested on six.

Luo et al., arXiv:2503.12811, on the curves that the authors published (dataset=loss_curves), of
models of `size` parameters. Fitted: cosine and constant of 24,000 steps and two stages, the second
at 9e-5. Tested: constant and cosine of 72,000 steps, WSD with an exponential and a linear decay,
and two stages, the second at 3e-5 and at 18e-5. The law is that of scaling/schedule_laws.py. `fit`:

    published  the parameters of the authors' src/config.py, nothing fitted
    adamw      as src/fitting.py does: a law of four parameters by L-BFGS-B from 135 starts, then
               200 steps of AdamW on all seven, of which the one of least loss stands

Metrics, means over the six tested curves: `tested/r2`, `tested/mae`, `tested/rmse`,
`tested/relative` and `tested/worst` (mean and largest relative error); `fitted/cost`, the Huber
loss of the log residuals of the three; `parameter/<name>`; and the predicted last losses of
24,000 steps, `last/optimised` of the schedule that the authors' search found, without what their
search leaves out of the sum, the warm-up's rises of the rate, and `last/cosine`, `last/wsd`,
`last/wsdld` alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import huber
from scipy.stats import linregress

from ppr.engine.bench import Bench
from ppr.fields import Literal
from ppr.registry import component
from ppr.scaling.fit import Array, Law
from ppr.scaling.schedule_laws import PARAMETERS, law
from ppr.studies.published import PublishedStudy, Table
from ppr.studies.scaling_laws._curves import FITTED, PEAK, TESTED, WARMUP, curve, rates

DELTA = 1e-3
PUBLISHED = {
    "25M": (3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
    "100M": (2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
    "400M": (2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
}
STEPS, PATIENCE, LEAST_GRADIENT = 200, 20, 1e-5
RATES = (5e-2, 5e-3)
"""AdamW's rates: of L0, A, B and C, and of the exponents alpha, beta and gamma."""
EXPONENTS = [2, 5, 6]

Curves = list[tuple[Array, Array, Array]]
"""Schedules [T], steps [N] and losses [N]."""


def start(curves: Curves) -> Array:
    """L0, A, alpha and B of L0 + A S1^-alpha - B (peak - rate), the best of the authors' grid."""
    losses = np.concatenate([found for _, _, found in curves])
    area = np.concatenate([schedule.cumsum()[at.astype(int)] for schedule, at, _ in curves])
    below = np.concatenate([PEAK - schedule[at.astype(int)] for schedule, at, _ in curves])
    least = losses.min()
    line = linregress(np.log(area), np.log(losses - least + 0.01))
    grid = itertools.product(
        np.linspace(least - 0.2, least + 0.2, 5),
        np.linspace(np.exp(line.intercept) - 0.1, np.exp(line.intercept) + 0.1, 3),
        np.linspace(-line.slope - 0.1, -line.slope + 0.1, 3),
        np.linspace(100, 1000, 3),
    )

    def cost(p: Array) -> float:
        found = p[0] + p[1] * area ** -p[2] - p[3] * below
        return float(huber(DELTA, np.log(losses) - np.log(found)).sum())

    options = {"maxiter": 100_000, "ftol": 1e-9, "gtol": 1e-6, "eps": 1e-8}
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [
            minimize(cost, begin, method="L-BFGS-B", bounds=[(0, np.inf)] * 4, options=options)
            for begin in grid
        ]
    return np.asarray(min(found, key=lambda f: float(f.fun) if np.isfinite(f.fun) else np.inf).x)


def by_adamw(model: Law, losses: Array, begin: Array) -> Array:
    """The parameters after the step that followed the least loss."""
    values = [torch.tensor(value, dtype=torch.float64) for value in begin]
    scales = [v for i, v in enumerate(values) if i not in EXPONENTS]
    exponents = [values[i] for i in EXPONENTS]
    optimizer = torch.optim.AdamW(
        [{"params": scales, "lr": RATES[0]}, {"params": exponents, "lr": RATES[1]}]
    )
    best, least, waited = begin, np.inf, 0
    for step in range(STEPS):
        p = np.array([value.item() for value in values])
        found, slopes = model(np.log(p))
        away = np.log(found) - np.log(losses)
        gradient = (np.clip(away, -DELTA, DELTA) / found) @ slopes / p
        for value, slope in zip(values, gradient, strict=True):
            value.grad = torch.tensor(slope)
        optimizer.step()
        cost = float(huber(DELTA, away).sum())
        waited = 0 if cost < least else waited + 1
        if step > PATIENCE and waited >= PATIENCE:
            break
        if cost < least:
            least, best = cost, np.array([value.item() for value in values])
        if np.linalg.norm(gradient) < LEAST_GRADIENT:
            break
    return best


def predicted(p: Array, schedule: Array, steps: Array, first: int = 1) -> Array:
    """The law at some steps [N] of a schedule [T], its sum over falls begun at step `first`.

    A step at a time, without derivatives: law() holds every step against every fall at once.
    """
    L0, A, alpha, B, C, beta, gamma = p
    area = schedule.cumsum()
    falls = np.flatnonzero(np.diff(schedule)) + 1
    falls = falls[falls >= first]
    heights, scales = schedule[falls - 1] - schedule[falls], C * schedule[falls] ** -gamma
    before, drops = area[falls - 1], np.zeros(len(steps))
    for at, t in enumerate(steps.astype(int)):
        n = np.searchsorted(falls, t, side="right")
        x = scales[:n] * (area[t] - before[:n])
        drops[at] = heights[:n] @ (1 - (1 + x) ** -beta)
    return np.asarray(L0 + A * area[steps.astype(int)] ** -alpha - B * drops)


def last_loss(schedule: Array, p: Array) -> float:
    """Of a schedule with its warm-up [T], without the warm-up's part in the sum over its falls."""
    return float(predicted(p, schedule, np.array([len(schedule) - 1.0]), WARMUP)[0])


@component("task", needs="tables")
class PublishedCurves(PublishedStudy):
    def __init__(
        self,
        bench: Bench,
        *,
        size: Literal["25M", "100M", "400M"] = "400M",
        fit: Literal["published", "adamw"] = "adamw",
    ) -> None:
        super().__init__(bench)
        self.size, self.fit = size, fit

    def measure(self) -> dict[str, dict[str, float]]:
        table = self.table("curves")
        curves = {name: curve(table, self.size, name) for name in FITTED + TESTED}
        fitted = [curves[name] for name in FITTED]
        losses = np.concatenate([found for _, _, found in fitted])
        model = law("multi", [(schedule, steps) for schedule, steps, _ in fitted])
        p = self._parameters(model, fitted, losses)
        away = np.log(model(np.log(p))[0]) - np.log(losses)
        scores = [_scores(p, curves[name]) for name in TESTED]
        return {
            "tested": {key: float(np.mean([s[key] for s in scores])) for key in scores[0]},
            "fitted": {"cost": float(huber(DELTA, away).sum())},
            "parameter": dict(zip(PARAMETERS["multi"], p.tolist(), strict=True)),
            "last": self._last(p),
        }

    def _parameters(self, model: Law, curves: Curves, losses: Array) -> Array:
        if self.fit == "published":
            return np.array(PUBLISHED[self.size])
        begin = np.array([*start(curves), 1.0, 0.5, 0.5])
        return by_adamw(model, losses, begin)

    def _last(self, p: Array) -> dict[str, float]:
        found = self.table("optimised_schedules")
        after = found["lr"][found["size"] == self.size].astype(np.float64)
        # The last rate of the warm-up, which is the peak, is where the search's falls begin.
        optimised = np.concatenate([np.linspace(0, PEAK, WARMUP), after])
        usual = {"cosine": "cosine_24000", "wsd": "wsd_20000_24000", "wsdld": "wsdld_20000_24000"}
        return {
            "optimised": last_loss(optimised, p),
            **{kind: last_loss(rates(name), p) for kind, name in usual.items()},
        }

    def made(self) -> Mapping[str, Table]:
        """Few points of each curve, exactly those of MADE; the WSD schedule as the optimised."""
        columns: dict[str, list[Array]] = {"size": [], "schedule": [], "step": [], "loss": []}
        for size, name in itertools.product(PUBLISHED, FITTED + TESTED):
            schedule = rates(name)
            steps = np.linspace(WARMUP, len(schedule) - 1, 12).round()
            columns["size"].append(np.full(12, size, dtype=object))
            columns["schedule"].append(np.full(12, name, dtype=object))
            columns["step"].append(steps)
            columns["loss"].append(predicted(MADE, schedule, steps))
        after = rates("wsd_20000_24000")[WARMUP:]
        return {
            "curves": {key: np.concatenate(parts) for key, parts in columns.items()},
            "optimised_schedules": {
                "size": np.repeat(np.array(list(PUBLISHED), dtype=object), len(after)),
                "lr": np.tile(after, len(PUBLISHED)),
            },
        }


MADE = np.array([2.6, 0.6, 0.45, 440.0, 2.1, 0.6, 0.65])


def _scores(p: Array, tested: tuple[Array, Array, Array]) -> dict[str, float]:
    schedule, steps, losses = tested
    away = np.abs(predicted(p, schedule, steps) - losses)
    return {
        "r2": 1 - float((away**2).sum() / ((losses - losses.mean()) ** 2).sum()),
        "mae": float(away.mean()),
        "rmse": float(np.sqrt((away**2).mean())),
        "relative": float((away / losses).mean()),
        "worst": float((away / losses).max()),
    }
