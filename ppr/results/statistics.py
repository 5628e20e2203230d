"""The mean over seeds and its 95 % confidence interval, and the seeds that are unlike the others.

Student's t for n independent normal samples of unknown variance:
    mean +- t(0.975, n - 1) * s / sqrt(n),   s^2 = sum (x - mean)^2 / (n - 1)
[IUPAC Gold Book, C01247 "confidence limits (about the mean)", https://goldbook.iupac.org/C01247]
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONFIDENCE = 0.95

FAR = 10.0
FAR_OF_FIVE = 20.0
"""How many standard deviations from the median is far: of 100 normal cells one or fewer has such a
seed, as `python benchmarks/verdicts.py` counts. Of five seeds the deviation is known less well."""
LEAST_SPREAD = 1e-3
"""Of the largest value: seeds that are all but equal have none that is far by the last digit."""
MAD = 1.4826
"""Standard deviations of a normal law in a median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` seeds; `half_width` is None where they say nothing about the spread.

    That is so of one seed, and of several that are all equal: accuracies that are all 499 of 500
    would give an interval of width 0, which holds the true mean far less often than 95 %.
    """

    mean: float
    half_width: float | None
    n: int

    def __str__(self) -> str:
        if self.half_width is None:
            return f"{f'{self.mean:#.4g}'.rstrip('.')} ({self.without})"
        # The interval's two leading digits say how many digits of the mean mean anything.
        decimals = 1 - math.floor(math.log10(self.half_width))
        if decimals > 6:
            return f"{self.mean:#.4g} ± {self.half_width:.1e} (n={self.n})"
        decimals = max(decimals, 0)
        return f"{self.mean:.{decimals}f} ± {self.half_width:.{decimals}f} (n={self.n})"

    @property
    def without(self) -> str:
        """Beside a mean without an interval: of how many seeds, and why there is none."""
        return "n=1, no interval" if self.n == 1 else f"n={self.n}, all equal"


def mean_interval(values: Iterable[float]) -> Interval:
    """The mean of one value a seed, with its 95 % interval.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    sample = [float(value) for value in values]
    if not sample or not all(map(math.isfinite, sample)):
        raise ValueError(f"a mean needs one or more finite values, not {sample}")
    n = len(sample)
    mean = statistics.fmean(sample)
    error = statistics.stdev(sample) / math.sqrt(n) if n > 1 else 0.0
    return Interval(mean, t_quantile(n - 1) * error if error else None, n)


def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t: `P(|t| <= quantile) = confidence`."""
    from scipy.special import stdtrit  # scipy.stats takes seconds to import, this a tenth of it

    return float(stdtrit(freedom, (1 + confidence) / 2))


def far_seeds(samples: Mapping[int, float]) -> list[int]:
    """The seeds that lie far from the others, of five or more, as those that collapsed do.

    By medians, which a few of them do not move: |x - median| beyond so many 1.4826 median |x -
    median|, or beyond so many thousandths of the largest value where that is more.
    """
    if len(samples) < 5:
        return []
    middle = statistics.median(samples.values())
    away = {seed: abs(value - middle) for seed, value in samples.items()}
    least = LEAST_SPREAD * max(map(abs, samples.values()))
    spread = max(MAD * statistics.median(away.values()), least)
    bound = FAR_OF_FIVE if len(samples) == 5 else FAR
    return sorted(seed for seed, distance in away.items() if distance > bound * spread)
