"""Scores of rankings: normalised discounted cumulative gain and recall at k."""

from __future__ import annotations

import torch
from torch import Tensor


def top_hits(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Whether each of the k best scored of a query is relevant: [Q, D], [Q, D] bool -> [Q, k]."""
    return relevant.gather(1, scores.topk(k, dim=1).indices)


def ndcg(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Of each query [Q]: sum_r hit_r / log2(r + 1) over the best k, by what is the most possible.

    A query without a relevant item gets 0.
    """
    discount = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=scores.device).log2()
    gained = (top_hits(scores, relevant, k) * discount).sum(1)
    possible = relevant.sum(1).clamp(max=k)
    most = torch.cat([discount.new_zeros(1), discount.cumsum(0)])[possible]
    return gained / most.clamp(min=1e-12)


def recall(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """Of each query [Q]: the share of its relevant items among the best k."""
    return top_hits(scores, relevant, k).sum(1) / relevant.sum(1).clamp(min=1)
