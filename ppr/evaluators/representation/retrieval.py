"""Retrieval on a split's own samples: each is a query, all others are ranked by their distance.

With rel_r = 1 where the r-th nearest of the others has the query's class, R the number of others
that have it, and P_r = (rel_1 + ... + rel_r) / r,

    recall_k = mean over queries of max(rel_1, ..., rel_k)
    map      = mean over queries of 1/R sum_{r = 1}^{N-1} rel_r P_r
    map_r    = mean over queries of 1/R sum_{r = 1}^{R}   rel_r P_r

Recall@k is metric learning's usual measure, mAP person re-identification's (without its cameras
here), MAP@R that of Musgrave et al., "A Metric Learning Reality Check", arXiv:2003.08505, section
3.2. Queries of whose class there is no other sample are left out. The distance is Euclidean, of
vectors as they are or L2-normalised (`normalise`: the order of cosines). Equal distances rank as
the samples are numbered.

`of` says what is compared: the network's `outputs`, the embeddings a loss sees; the encoder's
`features`; or the `inputs` themselves, what any training must beat.

Metrics, fractions of 1: `recall1`, `recall5`, `map`, `map_r`. And `spread`, the mean distance of
two samples, of vectors as they are: near 0 the embedding has collapsed.

Not by torchmetrics, which goes through the queries one by one, or pytorch-metric-learning, which
finds neighbours with faiss; neither says how it ranks equal distances.

Raises BadRequest if no class has two samples, RunFailed on NaN or infinite vectors.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed
from ppr.registry import component

WHERE = "evaluator.retrieval"
DISTANCES_AT_ONCE = 2**24  # 128 MiB of float64


@component("evaluator")
class Retrieval:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def __init__(
        self,
        *,
        of: Literal["outputs", "features", "inputs"] = "outputs",
        normalise: bool = False,
    ) -> None:
        self.of: Literal["outputs", "features", "inputs"] = of
        self.normalise = normalise

    def protocol(self) -> dict[str, object]:
        return {
            "measures": self.of,
            "queries": "every sample of the split, among all others",
            "distance": "Euclidean" + (", normalised" if self.normalise else ""),
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        vectors, targets = self._vectors(subject)
        if targets.bincount().max() < 2:
            raise BadRequest(
                f"{WHERE}: no class of the {subject.target_split} split has two samples"
            )
        # On the CPU in float64: ranks are the same on every machine but for true ties.
        plain, targets = vectors.cpu().double(), targets.cpu()
        compared = F.normalize(plain) if self.normalise else plain
        found, spread = [], 0.0
        chunk = max(1, DISTANCES_AT_ONCE // len(plain))
        for start in range(0, len(plain), chunk):
            rows = slice(start, start + chunk)
            distances = torch.cdist(compared[rows], compared)
            spread += torch.cdist(plain[rows], plain).sum().item()
            own = torch.arange(len(plain))[rows]
            distances[torch.arange(len(own)), own] = torch.inf  # itself, last
            order = distances.argsort(dim=1, stable=True)[:, :-1]
            found.append(_scores(targets[order] == targets[rows, None]))
        scores = torch.cat(found)
        names = ("recall1", "recall5", "map", "map_r")
        values = dict(zip(names, scores.mean(0).tolist(), strict=True))
        return {**values, "spread": spread / (len(plain) * (len(plain) - 1))}

    def _vectors(self, subject: Subject) -> tuple[Tensor, Tensor]:
        split = subject.target_split
        if self.of == "features":
            return subject.features(split, WHERE)
        from_split = (
            subject.batches(split) if self.of == "inputs" else subject.outputs(split, WHERE)
        )
        vectors, targets = (torch.cat(part) for part in zip(*from_split, strict=True))
        if not vectors.isfinite().all():
            raise RunFailed(f"{WHERE}: {self.of} of the {split} split hold NaN or infinite values")
        return vectors.flatten(1), targets


def _scores(relevant: Tensor) -> Tensor:
    """Recall@1, Recall@5, AP and AP@R [Q, 4] of the queries that have anything to be found."""
    relevant = relevant[relevant.any(1)].double()
    ranks = torch.arange(1, relevant.shape[1] + 1)
    among = relevant.sum(1, keepdim=True)
    gains = relevant * relevant.cumsum(1) / ranks / among
    at_r = (gains * (ranks <= among)).sum(1)
    return torch.stack([relevant[:, 0], relevant[:, :5].amax(1), gains.sum(1), at_r], dim=1)
