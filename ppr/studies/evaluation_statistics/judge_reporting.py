"""How well an accuracy judged by a language model is reported: bias, coverage, interval length.

Lee et al., "How to Correctly Report LLM-as-a-Judge Evaluations", 2025, arXiv:2511.21140, in the
form of the authors' code (UW-Madison-Lee-Lab/LLM-judge-reporting: calibration.py, allocation.py).
A judge of specificity q0 = P(says wrong | wrong) and sensitivity q1 = P(says right | right) judges
n answers, a share theta of which is right. It says `right` at a rate p with

    E[p] = (q0 + q1 - 1) theta + 1 - q0

and is itself measured on m0 wrong and m1 right answers that people have labelled. Methods:

    naive       p, with the binomial interval p -+ z sqrt(p (1-p) / n)
    corrected   (p + q0 - 1) / (q0 + q1 - 1) with the measured q0, q1; the interval is that of
                p~ = (n p + z^2/2) / (n + z^2), q~ = (m q + 1) / (m + 2), n~ = n + z^2, m~ = m + 2:
                centre th + 2 z^2 (th v1 - (1-th) v0), with v = q~ (1-q~) / m~, half-width
                z sqrt(p~ (1-p~) / n~ + (1-th)^2 v0 + th^2 v1) / (q~0 + q~1 - 1), clipped to [0, 1]
    adaptive    the same; of m labels, `pilot` a side come first, and then
                m1 = m / (1 + (1/p - 1) sqrt(kappa)),
                kappa = (pilot (1-q0) + 1) / (pilot (1-q1) + 1), at least `pilot` a side
    difference  p - mean over the labelled answers of (judge - person), as prediction-powered
                inference has it: right where labelled and judged answers have one prevalence
    human       the mean of m people's labels of answers like the judged, the judge not asked

A share `prevalence` of the m labels is of right answers, but for adaptive and human.

Metrics `measured/…` over `replicates`: `bias` (of the estimate before it is clipped), `sd`,
`coverage` and `length` of the interval. `theory/…`: `bias`, `sd` (derived to first order in 1/n and
1/m), `coverage` (exact for naive, nominal for corrected and adaptive).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction, Literal
from ppr.registry import component
from ppr.studies.study import Study

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

LEVEL = 0.95
NEVER = 1e-6
"""A judged rate below this is none at all, and all labels but the pilot's go to right answers."""


@dataclass(frozen=True)
class Report:
    """Estimates and their intervals, one a replicate."""

    estimate: Array
    low: Array
    high: Array


def around(estimate: Array, half: Array) -> Report:
    return Report(estimate, np.clip(estimate - half, 0, 1), np.clip(estimate + half, 0, 1))


def corrected(p: Array, q0: Array, q1: Array, n: int, m0: Counts, m1: Counts, z: float) -> Report:
    estimate = (p + q0 - 1) / (q0 + q1 - 1)
    p, q0, q1 = (n * p + z**2 / 2) / (n + z**2), (m0 * q0 + 1) / (m0 + 2), (m1 * q1 + 1) / (m1 + 2)
    v0, v1 = q0 * (1 - q0) / (m0 + 2), q1 * (1 - q1) / (m1 + 2)
    th = (p + q0 - 1) / (q0 + q1 - 1)
    centre = th + 2 * z**2 * (th * v1 - (1 - th) * v0)
    spread = np.sqrt(p * (1 - p) / (n + z**2) + (1 - th) ** 2 * v0 + th**2 * v1)
    interval = around(centre, z * spread / (q0 + q1 - 1))
    return Report(estimate, interval.low, interval.high)


def allocate(m: int, p: Array, q0: Array, q1: Array, pilot: int) -> Counts:
    """m1, the right answers among m to label, from what `pilot` labels a side have shown."""
    kappa = (pilot * (1 - q0) + 1) / (pilot * (1 - q1) + 1)
    wanted = m / (1 + (1 / np.maximum(p, NEVER) - 1) * np.sqrt(kappa))
    m1 = np.round(np.clip(wanted, pilot, m - pilot)).astype(np.int64)
    return np.where(p < NEVER, m - pilot, m1)


def naive_coverage(theta: float, q0: float, q1: float, n: int, z: float) -> float:
    """The probability that the naive interval holds theta: a sum over the n + 1 judged counts."""
    counts = np.arange(n + 1)
    p = counts / n
    covers = np.abs(p - theta) <= z * np.sqrt(p * (1 - p) / n)
    return float(binom.pmf(counts, n, (q0 + q1 - 1) * theta + 1 - q0)[covers].sum())


@component("task")
class JudgeReporting(Study):
    """
    Raises:
        BadRequest: a judge no better than chance, or too few labels.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        method: Literal["naive", "corrected", "adaptive", "difference", "human"] = "corrected",
        theta: Fraction = 0.5,
        q0: Fraction = 0.7,
        q1: Fraction = 0.9,
        answers: Count = 1000,
        labels: Count = 500,
        prevalence: Fraction = 0.5,
        pilot: Count = 10,
        replicates: Count = 10000,
    ) -> None:
        super().__init__(bench)
        if q0 + q1 <= 1:
            raise BadRequest(f"task.q0={q0:g}, q1={q1:g}: must add up to more than 1")
        if labels < 2 * pilot:
            raise BadRequest(f"task.labels={labels}: two pilots need {2 * pilot} or more")
        self.method = method
        self.theta, self.q0, self.q1 = theta, q0, q1
        self.answers, self.labels, self.pilot = answers, labels, pilot
        self.m1 = round(prevalence * labels)
        if not 0 < self.m1 < labels:
            raise BadRequest(f"task.prevalence={prevalence:g}: leaves labels of one kind only")
        self.replicates = replicates
        self.z = float(norm.ppf((1 + LEVEL) / 2))

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "judge"))
        report = self._report(random)
        covered = (report.low <= self.theta) & (self.theta <= report.high)
        measured = {
            "bias": float(report.estimate.mean() - self.theta),
            "sd": float(report.estimate.std(ddof=1)),
            "coverage": float(covered.mean()),
            "length": float((report.high - report.low).mean()),
        }
        return {"measured": measured, "theory": self.theory()}

    def theory(self) -> dict[str, float]:
        theory = {"bias": self._bias()}
        if self.method == "naive":
            theory["coverage"] = naive_coverage(self.theta, self.q0, self.q1, self.answers, self.z)
        if self.method in ("corrected", "adaptive"):
            theory["coverage"] = LEVEL
        if self.method in ("corrected", "human"):
            theory["sd"] = self._sd()
        return theory

    def _report(self, random: np.random.Generator) -> Report:
        n, m, times = self.answers, self.labels, self.replicates
        if self.method == "human":
            mean = random.binomial(m, self.theta, times) / m
            return around(mean, self.z * np.sqrt(mean * (1 - mean) / m))
        # Answers are right or wrong at random, and each is judged alone: p is binomial.
        p = random.binomial(n, self._rate(), times) / n
        if self.method == "naive":
            return around(p, self.z * np.sqrt(p * (1 - p) / n))
        m1 = np.full(times, self.m1)
        if self.method == "adaptive":
            first0 = random.binomial(self.pilot, self.q0, times)
            first1 = random.binomial(self.pilot, self.q1, times)
            m1 = allocate(m, p, first0 / self.pilot, first1 / self.pilot, self.pilot)
            q0 = (first0 + random.binomial(m - m1 - self.pilot, self.q0)) / (m - m1)
            q1 = (first1 + random.binomial(m1 - self.pilot, self.q1)) / m1
        else:
            q0 = random.binomial(m - m1, self.q0) / (m - m1)
            q1 = random.binomial(m1, self.q1) / m1
        if self.method == "difference":
            wrong0, wrong1 = (m - m1) / m * (1 - q0), m1 / m * (1 - q1)
            shift = wrong0 - wrong1
            variance = p * (1 - p) / n + (wrong0 + wrong1 - shift**2) / m
            return around(p - shift, self.z * np.sqrt(variance))
        return corrected(p, q0, q1, n, m - m1, m1, self.z)

    def _rate(self) -> float:
        return (self.q0 + self.q1 - 1) * self.theta + 1 - self.q0

    def _bias(self) -> float:
        if self.method in ("corrected", "adaptive", "human"):
            return 0.0
        right = self.m1 / self.labels if self.method == "difference" else 0.0
        wrong = 1 - right if self.method == "difference" else 0.0
        return self._rate() + right * (1 - self.q1) - wrong * (1 - self.q0) - self.theta

    def _sd(self) -> float:
        theta, m1 = self.theta, self.m1
        if self.method == "human":
            return float(np.sqrt(theta * (1 - theta) / self.labels))
        rate, m0 = self._rate(), self.labels - m1
        v0, v1 = self.q0 * (1 - self.q0) / m0, self.q1 * (1 - self.q1) / m1
        variance = rate * (1 - rate) / self.answers + (1 - theta) ** 2 * v0 + theta**2 * v1
        return float(np.sqrt(variance) / (self.q0 + self.q1 - 1))
