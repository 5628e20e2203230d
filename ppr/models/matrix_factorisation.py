"""Matrix factorisation: a vector for each user and each item; their product is the score.

Koren, Bell and Volinsky, "Matrix Factorization Techniques for Recommender Systems", Computer 2009.
`cosine` vectors are L2-normalised, in training as in ranking; `dot` ones are as they are. They
start from N(0, start^2).

A recommender model is called with users [N, 1] and gives their vectors [N, dim]; `items()` gives
those of all items, [items, dim]; `see` shows it the data, before which it has no parameters.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ppr.data.dataset import Dataset
from ppr.fields import Count, Positive
from ppr.registry import component


@component("model", inputs="user", features="sample")
class MatrixFactorisation(nn.Module):
    features: int

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        dim: Count = 64,
        similarity: Literal["cosine", "dot"] = "cosine",
        start: Positive = 1.0,
    ) -> None:
        super().__init__()
        del shape
        self.features = dim
        self.similarity = similarity
        self.start = start

    def see(self, data: Dataset) -> None:
        """Vectors for its users and items."""
        self.of_users = nn.Embedding(data.extra["users"], self.features)
        self.of_items = nn.Embedding(len(data.classes), self.features)
        for table in (self.of_users, self.of_items):
            nn.init.normal_(table.weight, std=self.start)

    def forward(self, users: Tensor) -> Tensor:
        return self._scaled(self.of_users(users[:, 0]))

    def items(self) -> Tensor:
        return self._scaled(self.of_items.weight)

    def _scaled(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors) if self.similarity == "cosine" else vectors
