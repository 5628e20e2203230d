"""The temperatures that a loss has learned for each training sample, against its class's size.

Qiu et al., "Not All Semantics are Created Equal", arXiv:2305.11965: samples of frequent semantics
should get large temperatures, rare ones small. For a loss with a buffer `tau` [N] (isogclr):

    spearman = rank correlation over classes of the class's size with its mean tau

Classes of one size share a rank. Always of the training split, whichever is measured.

Metrics: `mean` and `spread` (standard deviation) of tau; `spearman`, -1 to 1, 0 for one constant.

Raises BadRequest for a loss that learns no temperatures.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.registry import component

WHERE = "evaluator.temperatures"


@component("evaluator")
class Temperatures:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the loss's temperatures of the train split", "epoch": "last"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        tau = getattr(getattr(subject.network, "criterion", None), "tau", None)
        if not isinstance(tau, Tensor):
            raise BadRequest(f"{WHERE}: the loss learns no temperatures; allowed: loss=isogclr")
        values = tau.double().cpu().numpy()
        _, classes, sizes = np.unique(
            subject.split("train").targets.cpu().numpy(), return_inverse=True, return_counts=True
        )
        means = np.bincount(classes, values) / sizes
        constant = np.ptp(means) < 1e-9 or np.ptp(sizes) == 0  # of which ranks say nothing
        return {
            "mean": float(values.mean()),
            "spread": float(values.std()),
            "spearman": 0.0 if constant else float(spearmanr(sizes, means).statistic),
        }
