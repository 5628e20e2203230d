"""Top-1 and top-5 accuracy, as every evaluator of class scores reports them."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy


def top_accuracies(scores: Tensor, target: Tensor, *, largest_k: int = 5) -> dict[str, float]:
    """Share of samples whose class is the best scored, or among the five best, of [N, C] scores.

    Top-5 is left out where it says nothing: with five classes or fewer, or (`largest_k`) where
    fewer than five classes can have a score.
    """
    classes = scores.shape[1]
    ks = (1, 5) if classes > 5 and largest_k >= 5 else (1,)
    return {
        f"top{k}": multiclass_accuracy(scores, target, classes, top_k=k, average="micro").item()
        for k in ks
    }
