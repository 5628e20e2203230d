"""Knowledge distillation, KD: the teacher's softened probabilities beside the labels.

Paper: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531.
With logits s of the student and t of the teacher, temperature T and weight w of the teacher,

    L = (1 - w) CE(s, y) + w T^2 KL( softmax(t / T) || softmax(s / T) )

the T^2 of section 2 keeping the two gradients in proportion. The teacher is constant. In nats.

Shapes: student and teacher logits [N, C], target [N] integers or [N, C] probabilities. Half
precision is computed in float32. An empty batch gives 0.

Raises ValueError for logits of two shapes.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.fields import Fraction, Positive
from ppr.losses._batch import widen
from ppr.losses.distillation._soft import as_shares, check_shapes, cross_entropy, mean
from ppr.registry import component


@component("loss", family="distillation")
class KDLoss(nn.Module):
    def __init__(self, *, temperature: Positive = 4.0, weight: Fraction = 0.9) -> None:
        super().__init__()
        self.temperature, self.weight = temperature, weight

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        check_shapes(student, teacher)
        student, teacher = widen(student), widen(teacher).detach()
        hard = cross_entropy(student, as_shares(target, student))
        log_p = (teacher / self.temperature).log_softmax(1)
        log_q = (student / self.temperature).log_softmax(1)
        soft = self.temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1)
        return mean((1 - self.weight) * hard + self.weight * soft)
