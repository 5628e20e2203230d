"""Weighted k-nearest-neighbour classification of frozen features.

Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
https://arxiv.org/abs/1805.01978. For a query f, with s_i = cos(f, f_i) its cosine
similarity to the i-th training sample and N_k the k most similar ones, class c scores

    w_c = sum_{i in N_k} exp(s_i / temperature) * [y_i = c]

and the best scored class is the prediction; among classes of equal score, as those without a vote
are, it is any with one chance. Formula as computed by `kNN` in test.py of
zhirongw/lemniscate.pytorch and `knn_classifier` in eval_knn.py of facebookresearch/dino, whose
defaults include k = 200 and temperature = 0.07.

Metrics, fractions of 1: `top1`; `top5` with more than five classes and k >= 5.

Raises BadRequest if k exceeds the training samples, RunFailed on NaN or infinite features.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.evaluators.classification.accuracy import top_accuracies
from ppr.fields import Count, Positive
from ppr.registry import component

WHERE = "evaluator.knn"
SIMILARITIES_AT_ONCE = 2**25  # 128 MiB of float32


@component("evaluator", keeps="samples")
class KNN:
    needs: ClassVar[Literal["features", "logits"]] = "features"

    def __init__(self, *, k: Count = 200, temperature: Positive = 0.07) -> None:
        self.k = k
        self.temperature = temperature

    def protocol(self) -> dict[str, object]:
        return {
            "features": "frozen, eval mode, no augmentation",
            "neighbours from": "train split",
            "similarity": "cosine",
            "k": self.k,
            "temperature": self.temperature,
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        classes = subject.class_count(WHERE)
        size = len(subject.split("train"))
        if self.k > size:
            raise BadRequest(f"{WHERE}.k={self.k}: must be at most {size}, the training samples")
        bank, labels = subject.features("train", WHERE)
        queries, target = subject.features(subject.target_split, WHERE)
        bank, queries = F.normalize(bank), F.normalize(queries)
        chunk = max(1, SIMILARITIES_AT_ONCE // size)
        votes = [self._votes(part, bank, labels, classes) for part in torch.split(queries, chunk)]
        return top_accuracies(torch.cat(votes), target, largest_k=self.k)

    def _votes(self, queries: Tensor, bank: Tensor, labels: Tensor, classes: int) -> Tensor:
        """log w_c [Q, classes], -inf of a class that is not among the neighbours."""
        similarity, nearest = (queries @ bank.T).topk(self.k, dim=1)
        exponents, voted = similarity.double() / self.temperature, labels[nearest]
        # Relative to the class's nearest: no class's votes underflow, however far it is.
        most = exponents.new_full((len(queries), classes), -torch.inf)
        most = most.scatter_reduce_(1, voted, exponents, "amax")
        weights = (exponents - most.gather(1, voted)).exp()
        # Fixed point, because a sum of integers is the same in whatever order a GPU adds them.
        votes = torch.zeros_like(most, dtype=torch.int64)
        votes.scatter_add_(1, voted, (weights * 2**40).to(torch.int64))
        return most + votes.double().log()
