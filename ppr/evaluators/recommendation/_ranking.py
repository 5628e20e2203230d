"""Scores of rankings: normalised discounted cumulative gain and recall at k.

Of equal scores they are the mean over the orders that these could be in.
"""

from __future__ import annotations

import torch
from torch import Tensor


def top_hits(scores: Tensor, relevant: Tensor, k: int) -> Tensor:
    """The chance that each of the k best scored of a query is relevant: [Q, D], bool -> [Q, k].

    Equal scores are in any order with one chance, so each place among them is relevant with the
    share of them that are; 0 or 1 where no other has the score.
    """
    best = scores.topk(k, dim=1).values

    def equal(values: Tensor) -> Tensor:
        ordered = values.sort(dim=1).values
        upper = torch.searchsorted(ordered, best, right=True)
        return upper - torch.searchsorted(ordered, best)

    hits = equal(scores.masked_fill(~relevant, torch.inf))
    return hits.double() / equal(scores)


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
    return top_hits(scores, relevant, k).sum(1).float() / relevant.sum(1).clamp(min=1)
