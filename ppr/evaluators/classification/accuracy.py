"""Top-1 and top-5 accuracy, as every evaluator of class scores reports them."""

from __future__ import annotations

from torch import Tensor

from ppr.engine.samples import show_samples


def top_accuracies(scores: Tensor, target: Tensor, *, largest_k: int = 5) -> dict[str, float]:
    """Share of samples whose class is the best scored, or among the five best, of [N, C] scores.

    Top-5 is left out where it says nothing: with five classes or fewer, or (`largest_k`) where
    fewer than five classes can have a score. Of equal scores it is the mean over their orders.
    """
    # Not torchmetrics, whose top-k makes several [N, C] tables: 25 times slower at 1000 classes.
    ks = (1, 5) if scores.shape[1] > 5 and largest_k >= 5 else (1,)
    own = scores.gather(1, target[:, None])
    above, equal = (scores > own).sum(1), (scores == own).sum(1)
    show_samples(scores, target, above, equal)
    return {
        f"top{k}": ((k - above) / equal.double()).clamp(0, 1).sum().item() / len(target) for k in ks
    }
