"""What labels of five quality levels keep of the scores that people gave an image.

You et al., "Teaching Large Language Models to Regress Accurate Image Quality Scores using Score
Distribution", arXiv:2501.11561; built as in build_soft_labels/gen_soft_label.py and config.json of
zhiyuanyou/DeQA-Score. No model is run. An image's mean m and deviation s are put on a scale of 1 to
5 by the data set's own extreme means, m <- 1 + 4 (m - min) / (max - min). Its label is

    one_hot     the level 1..5 whose fifth of the scale m lies in
    soft        p_i = a q_i + b, clamped at 0, where q_i is the density of N(m, s) at level i (or
                its mass within half a level), and a, b make sum p = 1, sum i p_i = m. Where
                s < 0.2, or the clamp leaves the mean off by more than 0.1, it is `two_levels`
    raw         q_i, as it is
    two_levels  the levels beside m, by its distance

Scores are the votes' own (`votes`) or the authors' cleaned means of them (`cleaned`), with the
votes' deviation either way.

Metrics, in levels: `mean/error`, mean distance of the label's mean from m; `mean/plcc` and
`mean/srcc`, correlations of the two over images; `deviation/error`, mean distance of the label's
deviation from s; `votes/wasserstein`, mean area between the cumulative label and votes put on the
scale alike; `label/two_levels`, the share of images that fell back.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, pearsonr, spearmanr, wasserstein_distance

from ppr.engine.bench import Bench
from ppr.fields import Literal
from ppr.registry import component
from ppr.studies.published import PublishedStudy, Table

Array = NDArray[np.float64]

LEVELS = np.arange(1.0, 6.0)
LEAST_DEVIATION = 0.2
MOST_ERROR = 0.1
VOTES = [f"c{level}" for level in range(1, 6)]


def one_hot(means: Array) -> Array:
    """Means [N] within 1..5 to labels [N, 5]; of two fifths that meet in a point, the lower."""
    at = np.clip(np.ceil((means - 1) / 0.8 - 1e-8), 1, 5)
    return np.asarray(at[:, None] == LEVELS, dtype=np.float64)


def two_levels(means: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(LEVELS - means[:, None]), 0))


def raw(means: Array, deviations: Array, by: str) -> Array:
    """Densities, or masses within half a level. [N] and [N] -> [N, 5]"""
    law = norm(means[:, None], deviations[:, None])
    if by == "density":
        return np.asarray(law.pdf(LEVELS))
    return np.asarray(law.cdf(LEVELS + 0.5) - law.cdf(LEVELS - 0.5))


def adjusted(labels: Array, means: Array) -> Array:
    """a q + b of sum 1 and of these means, clamped at 0."""
    total, first = labels.sum(1), labels @ LEVELS
    a = (means - 3) / (first - 3 * total + 1e-9)
    return np.asarray(np.maximum(a[:, None] * labels + ((1 - a * total) / 5)[:, None], 0))


def soft(means: Array, deviations: Array, by: str) -> tuple[Array, NDArray[np.bool_]]:
    """Labels [N, 5], and which fell back to two levels."""
    labels = adjusted(raw(means, deviations, by), means)
    back = (deviations < LEAST_DEVIATION) | (np.abs(labels @ LEVELS - means) > MOST_ERROR)
    return np.where(back[:, None], two_levels(means), labels), back


@component("task", needs="tables")
class ScoreLabels(PublishedStudy):
    def __init__(
        self,
        bench: Bench,
        *,
        label: Literal["one_hot", "soft", "raw", "two_levels"] = "soft",
        by: Literal["density", "mass"] = "density",
        score: Literal["votes", "cleaned"] = "votes",
        part: Literal["all", "training", "validation", "test"] = "all",
    ) -> None:
        super().__init__(bench)
        self.label, self.by, self.score, self.part = label, by, score, part

    def measure(self) -> dict[str, dict[str, float]]:
        table = self.table("votes")
        shares = np.stack([table[name] for name in VOTES], 1)
        means, deviations = shares @ LEVELS, table["SD"]
        if self.score == "cleaned":  # 0 to 100 -> 1 to 5
            means = 1 + table["MOS"] / 25
        low, high = means.min(), means.max()
        scale = 4 / (high - low)
        means, deviations = 1 + scale * (means - low), scale * deviations
        places = 1 + scale * (LEVELS - low)
        of = np.full(len(means), True) if self.part == "all" else table["set"] == self.part
        means, deviations, shares = means[of], deviations[of], shares[of]
        labels, back = self._labels(means, deviations)
        found = labels @ LEVELS
        spread = np.sqrt(np.maximum(labels @ LEVELS**2 - found**2, 0))
        apart = [
            wasserstein_distance(LEVELS, places, label, votes)
            for label, votes in zip(labels, shares, strict=True)
        ]
        return {
            "mean": {
                "error": float(np.abs(found - means).mean()),
                "plcc": float(pearsonr(found, means).statistic),
                "srcc": float(spearmanr(found, means).statistic),
            },
            "deviation": {"error": float(np.abs(spread - deviations).mean())},
            "votes": {"wasserstein": float(np.mean(apart))},
            "label": {"two_levels": float(back.mean())},
        }

    def _labels(self, means: Array, deviations: Array) -> tuple[Array, NDArray[np.bool_]]:
        if self.label == "soft":
            return soft(means, deviations, self.by)
        if self.label == "raw":
            return raw(means, deviations, self.by), np.zeros(len(means), dtype=bool)
        if self.label == "one_hot":
            return one_hot(means), np.zeros(len(means), dtype=bool)
        return two_levels(means), np.ones(len(means), dtype=bool)

    def made(self) -> Mapping[str, Table]:
        """Votes of normal laws, rounded to levels."""
        centres = np.linspace(1.2, 4.8, 40)
        edges = norm.cdf(np.arange(1.5, 5), centres[:, None], 0.7)
        shares = np.diff(np.pad(edges, ((0, 0), (1, 1)), constant_values=(0, 1)))
        means = shares @ LEVELS
        table: dict[str, Array] = dict(zip(VOTES, shares.T, strict=True))
        table |= {"MOS": 25 * (means - 1), "SD": np.sqrt(shares @ LEVELS**2 - means**2)}
        return {"votes": {**table, "set": np.array(["training", "test"] * 20)}}
