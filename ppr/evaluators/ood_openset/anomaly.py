"""Anomaly detection by distance: how far a sample's features are from those of normal ones.

    score(x) = sum over the k nearest training samples z of || phi(x) - phi(z) ||^2

phi the L2-normalised features, the training split all normal (Bergman, Cohen, Hoshen, "Deep Nearest
Neighbor Anomaly Detection", arXiv:2002.10445). Squared distances and k = 2 are those of knn_score
in utils.py of talreiss/Mean-Shifted-Anomaly-Detection at 2276936. In the target split class 0 is
normal, every other anomalous. Of the scores,

    auroc   probability that an anomaly scores higher than a normal sample, ties counting a half
    fpr95   share of normal samples at or above the score that 95 % of the anomalies reach

Metrics, fractions of 1: `auroc`, `fpr95`. And the conditioning of the training features, which the
mean shift mends: `cosine`, the mean cosine of two of them, and `cosine_shifted`, the size of the
mean cosine of two as seen from their mean.

Raises BadRequest for fewer than k training samples or a split without both kinds, RunFailed on NaN
or infinite features.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component

WHERE = "evaluator.anomaly"


@component("evaluator")
class Anomaly:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def __init__(self, *, k: Count = 2) -> None:
        self.k = k

    def protocol(self) -> dict[str, object]:
        return {
            "features": "frozen, eval mode, no augmentation, normalised",
            "score": "sum of squared distances to the nearest training samples",
            "k": self.k,
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        size = len(subject.split("train"))
        if self.k > size:
            raise BadRequest(f"{WHERE}.k={self.k}: must be at most {size}, the training samples")
        bank, _ = subject.features("train", WHERE)
        queries, targets = subject.features(subject.target_split, WHERE)
        bank, queries = (F.normalize(x.cpu().double()) for x in (bank, queries))
        parts = [torch.cdist(part, bank).square() for part in torch.split(queries, 1024)]
        nearest = [part.topk(self.k, dim=1, largest=False).values.sum(1) for part in parts]
        scores, normal = torch.cat(nearest), targets.cpu() == 0
        if normal.all() or not normal.any():
            raise BadRequest(f"{WHERE}: the {subject.target_split} split needs class 0 and another")
        shifted = F.normalize(bank - bank.mean(0))
        return {
            "auroc": auroc(scores[~normal], scores[normal]),
            "fpr95": false_positives(scores[~normal], scores[normal], 0.95),
            "cosine": max(0.0, _mean_cosine(bank)),
            "cosine_shifted": abs(_mean_cosine(shifted)),
        }


def auroc(positive: Tensor, negative: Tensor) -> float:
    """The area under the ROC curve of scores [P] that should exceed scores [N]."""
    ordered = negative.sort().values
    below = torch.searchsorted(ordered, positive)
    not_above = torch.searchsorted(ordered, positive, right=True)
    return ((below + not_above).double().mean() / 2 / len(negative)).item()


def false_positives(positive: Tensor, negative: Tensor, recall: float) -> float:
    """The share of negatives at or above the highest threshold with that recall of positives."""
    wanted = max(1, -int(-recall * len(positive) // 1))
    threshold = positive.sort(descending=True).values[wanted - 1]
    return (negative >= threshold).double().mean().item()


def _mean_cosine(z: Tensor) -> float:
    """Of all pairs of different rows of unit length."""
    count = len(z)
    if count < 2:
        return 1.0
    return ((z.sum(0).square().sum() - z.square().sum()) / (count * (count - 1))).item()
