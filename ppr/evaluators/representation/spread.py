"""How many directions the network's outputs spread over: 1 is collapse.

    rank = exp( -sum_k p_k log p_k ),  p_k = s_k / sum_j s_j
    std  = mean over coordinates of the standard deviation

of the target split's outputs [N, D], made unit vectors; s their singular values. `rank` is the
effective rank of Roy and Vetterli, "The effective rank", EUSIPCO 2007, as Garrido et al. use it
(RankMe, arXiv:2210.02885), between 1, for outputs that are all the same, and D. `std` is near
1/sqrt(D) for outputs spread evenly over the sphere and 0 for collapsed ones (Chen and He,
SimSiam, arXiv:2011.10566).

Metrics: `rank`, `std`.

Raises BadRequest for a task without a network, RunFailed on NaN or infinite outputs.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from ppr.engine.subject import Subject
from ppr.evaluators.representation.embeddings import unit_outputs
from ppr.registry import component

WHERE = "evaluator.spread"


@component("evaluator")
class Spread:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def protocol(self) -> dict[str, object]:
        return {"measures": "the network's outputs, as unit vectors", "epoch": "last"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        z, _ = unit_outputs(subject, subject.target_split, WHERE)
        singular = torch.linalg.svdvals(z)
        p = singular / singular.sum()
        return {
            "rank": torch.special.entr(p).sum().exp().item(),
            "std": z.std(0, correction=0).mean().item(),
        }
