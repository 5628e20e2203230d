"""The cosines of pairs: how well matching ones are aligned, and how the others are spread.

Over the N pairs (a_i, b_i) of a split, with s_ij = a_i.b_j of unit vectors:

    positive = mean_i s_ii,  negative = mean_{i != j} s_ij,
    negative_variance = mean_{i != j} (s_ij - negative)^2

as in Lee et al., "On the Similarities of Embeddings in Contrastive Learning", arXiv:2506.09781: the
negatives across the two views.

Raises BadRequest if the task matches no pairs, RunFailed for fewer than two pairs and on NaN or
infinite embeddings.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.errors import RunFailed
from ppr.registry import component

WHERE = "evaluator.pair_cosines"


@component("evaluator")
class PairCosines:
    """`split`: the split that is evaluated, or always the training split."""

    needs: ClassVar[Literal["features", "logits", "pairs"]] = "pairs"

    def __init__(self, *, split: Literal["target", "train"] = "target") -> None:
        self.split = split

    def protocol(self) -> dict[str, object]:
        return {"split": self.split, "negatives": "all pairs of the split, across the towers"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        split = subject.target_split if self.split == "target" else self.split
        pairs = subject.embedded_pairs(split, WHERE).cpu().double()
        if len(pairs) < 2:
            raise RunFailed(f"{WHERE}: needs two pairs, the {split} split has {len(pairs)}")
        a, b = F.normalize(pairs, dim=2).unbind(1)
        matched = (a * b).sum(1)
        # Sums over all pairs come from D numbers and D x D products, without an N x N matrix.
        count = len(a) * (len(a) - 1)
        negative = ((a.sum(0) * b.sum(0)).sum() - matched.sum()) / count
        squares = ((a.T @ a) * (b.T @ b)).sum() - matched.square().sum()
        variance = torch.clamp(squares / count - negative**2, min=0)
        return {
            "positive": matched.mean().item(),
            "negative": negative.item(),
            "negative_variance": variance.item(),
        }
