"""The mean over seeds and its 95 % confidence interval.

Student's t for n independent normal samples of unknown variance:
    mean +- t(0.975, n - 1) * s / sqrt(n),   s^2 = sum (x - mean)^2 / (n - 1)
[IUPAC Gold Book, C01247 "confidence limits (about the mean)", https://goldbook.iupac.org/C01247]
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` seeds; `half_width` is None when one seed says nothing about the spread."""

    mean: float
    half_width: float | None
    n: int

    def __str__(self) -> str:
        if self.half_width is None:
            return f"{self.mean:#.4g} (n=1, no interval)"
        # The interval's two leading digits say how many digits of the mean mean anything.
        decimals = 1 - math.floor(math.log10(self.half_width)) if self.half_width > 0 else 4
        if decimals > 6:
            return f"{self.mean:#.4g} ± {self.half_width:.1e} (n={self.n})"
        decimals = max(decimals, 0)
        return f"{self.mean:.{decimals}f} ± {self.half_width:.{decimals}f} (n={self.n})"


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
    if n == 1:
        return Interval(mean, None, n)
    return Interval(mean, t_quantile(n - 1) * statistics.stdev(sample) / math.sqrt(n), n)


def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t: `P(|t| <= quantile) = confidence`."""
    from scipy.special import stdtrit  # scipy.stats takes seconds to import, this a tenth of it

    return float(stdtrit(freedom, (1 + confidence) / 2))
