"""DIST: the student's probabilities correlate with the teacher's, by sample and by class.

Paper: Huang, You, Wang, Qian, Xu, "Knowledge Distillation from A Stronger Teacher",
arXiv:2205.10536. With P = softmax(s / T), Q = softmax(t / T), both [N, C], and r Pearson's
correlation,

    L = CE(s, y) + beta T^2 (1 - mean_n r(P_n, Q_n)) + gamma T^2 (1 - mean_c r(P_:c, Q_:c))

Formula compared with segmentation/losses/dist_kd.py of hunto/DIST_KD at 6d93ca0, which has no
temperature and adds 1e-8 to r's denominator, as here. The teacher is constant.

Shapes: student and teacher logits [N, C], target [N] integers or [N, C] probabilities. Half
precision is computed in float32. The loss compares the samples of a batch by class; of one sample
the last mean is 0. An empty batch gives 0.

Raises ValueError for logits of two shapes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.fields import NonNegative, Positive
from ppr.losses._batch import widen
from ppr.losses.distillation._soft import as_shares, check_shapes, cross_entropy, mean
from ppr.registry import component

EPS = 1e-8


@component("loss", family="distillation")
class DISTLoss(nn.Module):
    def __init__(
        self,
        *,
        beta: NonNegative = 1.0,
        gamma: NonNegative = 1.0,
        temperature: Positive = 4.0,
    ) -> None:
        super().__init__()
        self.batch_wide = True
        self.beta, self.gamma, self.temperature = beta, gamma, temperature

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        check_shapes(student, teacher)
        student, teacher = widen(student), widen(teacher).detach()
        hard = mean(cross_entropy(student, as_shares(target, student)))
        if not len(student):
            return hard
        ours, theirs = ((x / self.temperature).softmax(1) for x in (student, teacher))
        by_sample = 1 - _correlations(ours, theirs).mean()
        by_class = 1 - _correlations(ours.T, theirs.T).mean()
        return hard + self.temperature**2 * (self.beta * by_sample + self.gamma * by_class)


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation of each row of a with that of b."""
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    lengths = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    correlations: Tensor = (a * b).sum(1) / (lengths + EPS)
    return correlations
