"""Recommendation: how well a user's held-out items rank among all that it has not chosen yet.

    recall = |top k & H_u| / |H_u|
    ndcg   = sum_{r <= k} [item of rank r in H_u] / log2(r + 1),  over the most that this can be

as means over the users with held-out items H_u, and over the orders that items of equal score could
be in. What is known of a user, its training items (hidden ones too) and for the test part those of
validation, is not ranked. Yang et al., "PSL", NeurIPS 2024, appendix B.2, has k = 20 and takes out
training items alone.

`of: popularity` ranks by how often items were chosen in training, the same for all users.

Metrics: `ndcg`, `recall`, fractions of 1.

Raises BadRequest where the task scores no items.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ppr.engine.subject import Subject, evaluating
from ppr.errors import BadRequest
from ppr.evaluators.recommendation._ranking import ndcg, recall
from ppr.fields import Count
from ppr.registry import component

WHERE = "evaluator.recommendation"


@component("evaluator")
class Recommendation:
    def __init__(self, *, k: Count = 20, of: Literal["network", "popularity"] = "network") -> None:
        self.k = k
        self.of = of

    def protocol(self) -> dict[str, object]:
        return {"measures": self.of, "k": self.k, "ranked": "items not known of the user"}

    def __call__(self, subject: Subject) -> dict[str, float]:
        data = subject.dataset
        if subject.network is None or "users" not in data.extra:
            raise BadRequest(f"{WHERE}: needs a task that scores items for users; task=recommend")
        known = [_pairs(subject, "train"), data.extra["hidden"].to(subject.device)]
        if subject.target_split == "test" and data.validation is not None:
            known.append(_pairs(subject, "validation"))
        seen, held = torch.cat(known), _pairs(subject, subject.target_split)
        items = len(data.classes)
        popularity = torch.bincount(known[0][:, 1], minlength=items).float()
        k = min(self.k, items)
        found = []
        with evaluating(subject.network), torch.no_grad():
            for users in torch.unique(held[:, 0]).split(subject.batch_size):
                scores = popularity.repeat(len(users), 1)
                if self.of == "network":
                    with subject.autocast():
                        scores = subject.network(users[:, None]).float()
                scores = scores.masked_fill(_chosen(seen, users, items), -torch.inf)
                relevant = _chosen(held, users, items)
                found.append(torch.stack([f(scores, relevant, k) for f in (ndcg, recall)]).double())
        means = torch.cat(found, dim=1).mean(1).tolist()
        return dict(zip(("ndcg", "recall"), means, strict=True))


def _pairs(subject: Subject, split: str) -> Tensor:
    """A split's interactions [N, 2]: users, items."""
    part: Any = subject.split(split)
    pairs = torch.cat([part.inputs, part.targets[:, None]], dim=1)
    return pairs.to(subject.device)


def _chosen(pairs: Tensor, users: Tensor, items: int) -> Tensor:
    """Whether each of `users` [B], ascending, chose each item, [B, items]."""
    rows = torch.searchsorted(users, pairs[:, 0].contiguous()).clamp(max=len(users) - 1)
    own = users[rows] == pairs[:, 0]
    chosen = torch.zeros(len(users), items, dtype=torch.bool, device=users.device)
    chosen[rows[own], pairs[own, 1]] = True
    return chosen
