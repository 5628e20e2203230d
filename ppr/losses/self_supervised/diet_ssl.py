"""DIET: every training sample is a class of its own, told apart by a linear classifier.

Paper: Ibrahim et al., "Occam's Razor for Self Supervised Learning: What is Sufficient to Learn Good
Representations?", 2024, arXiv:2406.10743. For features f of an augmented view of sample n of N,

    L = CE_s(W f, n),    CE_s(x, n) = -sum_k [ (1-s) 1(k=n) + s/N ] log softmax(x)_k

with W [N, D] without a bias, s the label smoothing, 0.8 and more. No projector, no pair of views,
no teacher: with V views each is classified by itself, and L is their mean. The features are not
normalised. W is a parameter of the loss, trained by the run's optimizer and thrown away with it; it
has N rows, so memory and time of a step grow with the data set. Read in a public re-implementation
on CIFAR-100 (an argument parser 'DIET Training'; no repository name is known).

Shapes: embeddings [N, V, D] or [N, D], `features` = D; labels are ignored, indices [N] are the
samples' numbers in the training split. Half precision is computed in float32. An empty batch gives
0.

Raises BadRequest for embeddings of another width; ValueError where it has not seen the training
targets, or is called without indices.
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Count, Fraction
from ppr.losses._batch import in_full_precision, widen
from ppr.registry import component


@component("loss", family="indexed")
class DIETLoss(nn.Module):
    by_index: ClassVar[bool] = True

    def __init__(self, *, features: Count, smoothing: Fraction = 0.8) -> None:
        super().__init__()
        self.features = features
        self.smoothing = smoothing
        self.classifier: nn.Linear | None = None

    def see(self, targets: Tensor, classes: int) -> None:
        """A class for each training sample."""
        del classes
        self.classifier = nn.Linear(self.features, len(targets), bias=False)

    def forward(
        self, embeddings: Tensor, labels: Tensor | None = None, indices: Tensor | None = None
    ) -> Tensor:
        del labels
        if self.classifier is None or indices is None:
            raise ValueError("diet_ssl: needs `see` of the training targets, and the indices")
        width = embeddings.shape[-1]
        if width != self.features:
            raise BadRequest(f"loss.features={self.features}: must be {width}, what it is given")
        f = widen(embeddings)
        if embeddings.dim() == 3:
            indices = indices.repeat_interleave(embeddings.shape[1])
            f = f.flatten(0, 1)
        if not len(f):
            return f.sum()
        logits = in_full_precision(F.linear, f, self.classifier.weight.to(f.dtype))
        return F.cross_entropy(logits, indices, label_smoothing=self.smoothing)
