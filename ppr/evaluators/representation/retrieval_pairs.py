"""Retrieval across the members of pairs: how highly does each rank its own other member?

Over the N pairs (a_i, b_i) of the target split, by cosine, in both directions:

    rank_i = 1 + |{ j != i : a_i.b_j >= a_i.b_i }|
    top1 = mean [rank = 1],  mrr = mean 1/rank

A tie counts against the pair, so embeddings that have collapsed do not retrieve. Top-1 in both
directions is what contrastive language-image models report of retrieval (recall at 1; Radford et
al., arXiv:2103.00020, table 13); the mean reciprocal rank, dense retrieval.

Metrics, fractions of 1: `top1`, `mrr`.

Raises BadRequest if the task matches no pairs, RunFailed on NaN or infinite embeddings.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.registry import component

WHERE = "evaluator.retrieval_pairs"
SIMILARITIES_AT_ONCE = 2**25  # 128 MiB of float32


@component("evaluator")
class RetrievalPairs:
    needs: ClassVar[Literal["features", "logits", "pairs"]] = "pairs"

    def protocol(self) -> dict[str, object]:
        return {
            "candidates": "the other members of all pairs of the split",
            "similarity": "cosine",
            "directions": "both, averaged",
            "ties": "against",
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        a, b = F.normalize(subject.embedded_pairs(subject.target_split, WHERE), dim=2).unbind(1)
        ranks = torch.cat([pair_ranks(a, b), pair_ranks(b, a)]).cpu()
        return {
            "top1": (ranks == 1).double().mean().item(),
            "mrr": ranks.double().reciprocal().mean().item(),
        }


def pair_ranks(queries: Tensor, candidates: Tensor) -> Tensor:
    """The rank [N] of each query's own candidate among all, by dot product."""
    rows = max(1, SIMILARITIES_AT_ONCE // max(1, len(candidates)))
    ranks = []
    for start in range(0, len(queries), rows):
        scores = queries[start : start + rows] @ candidates.T
        own = scores.diagonal(start).unsqueeze(1)
        ranks.append((scores >= own).sum(1))  # its own candidate is one of them
    return torch.cat(ranks)
