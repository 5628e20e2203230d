"""Attention as a pointer: how much of its weight goes to wrong columns.

Giannou et al., arXiv:2301.13196: n columns with addresses of log2 n bits, +1 or -1; query and key
are addresses, the softmax has inverse temperature lam. Where k bits differ the score is 2 k less,
and there are (log2 n over k) such columns, so that the wrong weight is exactly (derived)

    1 - (1 + e^{-2 lam})^{-log2 n}   <=   n e^{-2 lam}

and values in -1..1 are read with an error of at most twice that.

Metrics: `measured/wrong`, the largest wrong weight over all columns, against `theory/wrong`;
`measured/error`, the largest error of values uniform in -1..1, and `theory/error`, its bound.
"""

from __future__ import annotations

import math

import torch

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Annotated, Ge, Positive
from ppr.registry import component
from ppr.studies.study import Study
from ppr.studies.theory_numerics._subleq import addresses


@component("task")
class LoopedPointer(Study):
    """
    Raises:
        BadRequest: a number of columns that is no power of two.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        columns: Annotated[int, Ge(2)] = 32,
        lam: Positive = 10.0,
    ) -> None:
        super().__init__(bench)
        if columns & (columns - 1):
            raise BadRequest(f"task.columns={columns}: must be a power of two")
        self.bits, self.lam = columns.bit_length() - 1, lam

    def measure(self) -> dict[str, dict[str, float]]:
        codes = addresses(self.bits)
        weights = (self.lam * codes @ codes.T).softmax(1)
        random = generator(torch.device("cpu"), self.bench.seed, "values")
        values = 2 * torch.rand(len(codes), 1, generator=random, dtype=torch.float64) - 1
        wrong = (weights - weights.diagonal().diag()).sum(1).max().item()
        error = (weights @ values - values).abs().max().item()
        return {"measured": {"wrong": wrong, "error": error}, "theory": self.theory()}

    def theory(self) -> dict[str, float]:
        # By expm1 and log1p, or all digits of a small weight would be lost.
        exact = -math.expm1(-self.bits * math.log1p(math.exp(-2 * self.lam)))
        return {"wrong": exact, "error": 2 * exact}
