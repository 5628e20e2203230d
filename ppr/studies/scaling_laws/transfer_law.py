"""Loss of a fine-tuned domain by its own data and what other domains' data give it, fitted.

Li et al., "Data Mixing Optimization for Supervised Fine-Tuning of Large Language Models": with n
million tokens of its own in a mix, a domain's validation loss is c (n + t)^-beta + e, where t is
what the other domains' tokens are worth. Fitted, for a given beta, to the five losses of
Llama-3.2-3B that are printed for each of three domains, whose own data are a third to three times
0.66 million tokens and those of the others 1.32 million: the least Huber loss (1e-3) of the
residuals. There t = gamma 1.32^alpha, of which the authors print gamma and alpha; the losses do not
tell the two apart.

Losses and fits: domain_weights/param_cal.ipynb, cell 1, of BrevityD/Data-Mixing-Optimization at
c2ed492. The third loss is that of the mix that all three domains share.

Metrics: `fitted/c`, `fitted/e`, `fitted/transfer` (t), `fitted/cost`; `printed/transfer` and
`printed/cost` of the authors' parameters.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import huber

from ppr.engine.bench import Bench
from ppr.fields import Literal
from ppr.registry import component
from ppr.scaling.fit import Array
from ppr.studies.study import Study

DELTA = 1e-3
TOKENS = 0.66 * np.array([1 / 3, 0.5, 1.0, 2.0, 3.0])
OTHERS = 1.32
SHARED = 2.2601072040502985


@dataclass(frozen=True)
class Domain:
    """`losses` [5] at TOKENS; what the authors print of the fit."""

    losses: tuple[float, ...]
    beta: float
    c: float
    gamma: float
    alpha: float
    e: float

    @property
    def transfer(self) -> float:
        return float(self.gamma * OTHERS**self.alpha)


DOMAINS = {
    "if": Domain(
        (2.3009398127536653, 2.2919550197611414, SHARED, 2.2253171055400482, 2.2078428253445472),
        beta=0.051, c=1.156287, gamma=0.194495, alpha=0.534544, e=1.096633,
    ),
    "math": Domain(
        (2.2891207768582373, 2.275715067349909, SHARED, 2.2340252519100123, 2.2223123883020706),
        beta=0.043, c=0.750727, gamma=0.039636, alpha=0.462851, e=1.493862,
    ),
    "code": Domain(
        (2.2946755321189904, 2.2822197449260098, SHARED, 2.2327336034851544, 2.2183251314478096),
        beta=0.0439, c=0.981711, gamma=0.123284, alpha=0.526314, e=1.268124,
    ),
}  # fmt: skip


def loss(p: Array, tokens: Array, beta: float) -> Array:
    c, transfer, e = p
    return np.asarray(c * (tokens + transfer) ** -beta + e)


def fit_transfer(tokens: Array, losses: Array, beta: float) -> tuple[Array, float]:
    """c, transfer and e, and their Huber loss, the best of 27 starts."""
    starts = itertools.product((0.5, 1.0, 2.0), (0.05, 0.2, 0.5), (0.5, 1.2, 1.6))
    with np.errstate(over="ignore"):  # a step too far, which is not taken
        found = [
            least_squares(
                lambda logs: loss(np.exp(logs), tokens, beta) - losses,
                np.log(start), loss="huber", f_scale=DELTA, x_scale="jac",
                xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=2000,
            )
            for start in starts
        ]  # fmt: skip
    best = min(found, key=lambda result: float(result.cost))
    return np.exp(best.x), float(best.cost)


@component("task")
class TransferLaw(Study):
    def __init__(self, bench: Bench, *, domain: Literal["if", "math", "code"] = "if") -> None:
        super().__init__(bench)
        self.domain = DOMAINS[domain]

    def measure(self) -> dict[str, dict[str, float]]:
        domain, losses = self.domain, np.array(self.domain.losses)
        (c, transfer, e), cost = fit_transfer(TOKENS, losses, domain.beta)
        printed = np.array([domain.c, domain.transfer, domain.e])
        away = loss(printed, TOKENS, domain.beta) - losses
        return {
            "fitted": {"c": float(c), "transfer": float(transfer), "e": float(e), "cost": cost},
            "printed": {
                "transfer": domain.transfer,
                "cost": float(huber(DELTA, away).sum()),
            },
        }
