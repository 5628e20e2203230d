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
