"""Which classes a zero-shot classifier confuses, against the bounds of their pairs.

Mazzetto et al., arXiv:2205.13068 (zsl_bound.py). Direct attribute prediction (Lampert et al.) takes
attributes for independent given the class and all classes for alike in frequency, so that with
perfect detectors it says argmax_y prod_j A[y,j]^{a_j} (1 - A[y,j])^{1 - a_j}. Its confusion of two
classes, P(says y' | y) + P(says y | y') over two, is exact, a sum over all 2^m attribute vectors.

    law        that attributes follow, p(a|y)
    worst      the one that attains the lower bound on the error
    independent  the one that the classifier believes in

Metrics: `measured/rank_correlation` (Spearman) over pairs of classes, of confusion with the lower
bound of the pair alone; the mean over `count` random tables. `measured/error`, the classifier's;
`theory/error`, the lower bound.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Annotated, Count, Ge, Literal
from ppr.registry import component
from ppr.studies.study import Study
from ppr.studies.zero_shot_attributes.zsl_bound import (
    Array,
    adversary,
    attribute_vectors,
    two_class_bound,
)


def likelihoods(A: Array) -> Array:
    """Of every attribute vector, attributes independent. [k, 2^m]"""
    vectors = attribute_vectors(A.shape[1])
    return np.asarray(np.where(vectors, A[:, None], 1 - A[:, None]).prod(2))


@component("task")
class ZSLConfusion(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        law: Literal["worst", "independent"] = "worst",
        classes: Annotated[int, Ge(3)] = 6,
        attributes: Count = 6,
        count: Count = 40,
    ) -> None:
        super().__init__(bench)
        self.law, self.shape, self.count = law, (classes, attributes), count

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "attributes"))
        drawn = np.array([self._one(random.random(self.shape)) for _ in range(self.count)])
        correlation, error, bound = drawn.mean(0).tolist()
        measured = {"rank_correlation": correlation, "error": error}
        return {"measured": measured, "theory": {"error": bound}}

    def _one(self, A: Array) -> tuple[float, float, float]:
        bound, worst, _ = adversary(A)
        believed = likelihoods(A)
        laws = worst if self.law == "worst" else believed
        says = np.eye(len(A))[believed.argmax(0)]  # [2^m, k]
        confusion = laws @ says
        first, second = np.triu_indices(len(A), 1)
        confused = (confusion + confusion.T)[first, second] / 2
        pairs = [two_class_bound(A[i], A[j]) for i, j in zip(first, second, strict=True)]
        rank = float(spearmanr(confused, pairs).statistic)
        return rank, float(1 - confusion.trace() / len(A)), bound
