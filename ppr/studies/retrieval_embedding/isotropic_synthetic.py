"""Whitening undoes what hides the similarity of isotropic signals: ranking with and without it.

The set-up of a check of Jung et al., "Isotropic Representation Can Improve Dense Retrieval",
arXiv:2209.00218. `documents` signals z of `dim` standard normal entries, and queries that are other
signals with noise of half their size; the ten documents nearest to a query's clean signal by cosine
are relevant. Seen are x = A z + c, with the singular values of A falling geometrically from 1 to
1/`condition`, rotated at random, and c of length `offset`. Documents are ranked by cosine of the
vectors as they are (`form` raw), less the documents' mean (centred), or whitened. float64.

Metrics: `ranking/ndcg`, nDCG@10; `documents/mean_cosine`; `documents/covariance_error`, the largest
deviation of their covariance from the identity.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.evaluators.recommendation._ranking import ndcg
from ppr.fields import Count, NonNegative, Positive
from ppr.registry import component
from ppr.studies.retrieval_embedding._isotropy import mean_cosine, processed
from ppr.studies.study import Study

RELEVANT = 10
NOISE = 0.5


@component("task")
class IsotropicSynthetic(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        documents: Count = 5000,
        queries: Count = 200,
        dim: Count = 32,
        condition: Positive = 100.0,
        offset: NonNegative = 10.0,
        form: Literal["raw", "centred", "whitened"] = "whitened",
    ) -> None:
        super().__init__(bench)
        self.documents, self.queries, self.dim = documents, queries, dim
        self.condition, self.offset, self.form = condition, offset, form

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(torch.device("cpu"), self.bench.seed, "isotropic")

        def normal(*shape: int) -> torch.Tensor:
            drawn = torch.randn(*shape, dtype=torch.float64, generator=random)
            return drawn.to(self.bench.device)

        z, clean = normal(self.documents, self.dim), normal(self.queries, self.dim)
        near = F.normalize(clean) @ F.normalize(z).T
        relevant = torch.zeros_like(near, dtype=torch.bool)
        relevant.scatter_(1, near.topk(RELEVANT, dim=1).indices, True)
        left, right = (torch.linalg.qr(normal(self.dim, self.dim))[0] for _ in range(2))
        exponent = torch.linspace(0, -1, self.dim, dtype=torch.float64, device=z.device)
        mixing = left * self.condition**exponent @ right
        away = self.offset * F.normalize(normal(1, self.dim))
        seen = z @ mixing.T + away
        asked = (clean + NOISE * normal(self.queries, self.dim)) @ mixing.T + away
        ours, theirs = (processed(seen, vectors, self.form) for vectors in (seen, asked))
        likeness = F.normalize(theirs) @ F.normalize(ours).T
        off = torch.cov(ours.T, correction=0) - torch.eye(self.dim).to(ours)
        return {
            "ranking": {"ndcg": ndcg(likeness, relevant, RELEVANT).mean().item()},
            "documents": {
                "mean_cosine": mean_cosine(ours),
                "covariance_error": off.abs().max().item(),
            },
        }
