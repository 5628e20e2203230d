"""InfoNCE of the pairs of a held-out split, in nats: the contrastive risk that training minimises.

Over the N pairs (a_i, b_i), with s_ij = cos(a_i, b_j) / temperature:

    infonce = 1/(2N) sum_i [ -log( e^{s_ii} / sum_j e^{s_ij} ) - log( e^{s_ii} / sum_j e^{s_ji} ) ]

It is log N by chance. log N - infonce is in expectation a lower bound of the information that the
embeddings of two views have in common (van den Oord et al., arXiv:1807.03748, section 2.3), whence
the excess of one encoder over another is its loss of information about the other view: what
arXiv:2503.17538 calls the sufficiency gap.

`temperature` is the one that the loss was trained with.

Metrics: `infonce`, in nats.

Raises BadRequest if the task matches no pairs, RunFailed on NaN or infinite embeddings.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ppr.engine.subject import Subject
from ppr.fields import Positive
from ppr.losses.contrastive.infonce import infonce
from ppr.registry import component

WHERE = "evaluator.pair_risk"


@component("evaluator")
class PairRisk:
    needs: ClassVar[Literal["features", "logits", "pairs"]] = "pairs"

    def __init__(self, *, temperature: Positive = 0.07) -> None:
        self.temperature = temperature

    def protocol(self) -> dict[str, object]:
        return {
            "candidates": "the other members of all pairs of the split",
            "temperature": self.temperature,
            "directions": "both, averaged",
            "infonce": "nats",
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        a, b = subject.embedded_pairs(subject.target_split, WHERE).cpu().double().unbind(1)
        return {"infonce": infonce(a, b, temperature=self.temperature).item()}
