"""PS-KD, progressive self-knowledge distillation: labels softened by the model's own past.

Paper: Kim, Ji, Yoon, Hwang, "Self-Knowledge Distillation with Progressive Refinement of Targets",
ICCV 2021, arXiv:2006.12000. With t the logits of the epoch before,

    L = CE( s, (1 - a) onehot(y) + a softmax(t) ),      a = alpha * epoch / epochs

The share a grows from epoch to epoch: `advance(done)` takes epoch / epochs, and before it is called
a = alpha. alpha = 0 is cross-entropy. In nats.

Formula, alpha = 0.8 and epochs counted from 1 compared with main.py and loss/pskd_loss.py of
lgcnsai/PS-KD-Pytorch at 9aa0828. There t is what the network predicted for the sample when it was
trained on it in the epoch before, and a one-hot label in the first; task=distill teacher=past
instead asks the network as it was at the end of that epoch about the very input of now.

Shapes: student and teacher logits [N, C], target [N] integers or [N, C] probabilities. Half
precision is computed in float32. An empty batch gives 0.

Raises ValueError for logits of two shapes.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.fields import Fraction
from ppr.losses._batch import widen
from ppr.losses.distillation._soft import as_shares, check_shapes, cross_entropy, mean
from ppr.registry import component


@component("loss", family="distillation")
class PSKDLoss(nn.Module):
    def __init__(self, *, alpha: Fraction = 0.8) -> None:
        super().__init__()
        self.alpha = alpha
        self.share = alpha

    def advance(self, done: float) -> None:
        self.share = self.alpha * done

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        check_shapes(student, teacher)
        student, past = widen(student), widen(teacher).detach().softmax(1)
        softened = (1 - self.share) * as_shares(target, student) + self.share * past
        return mean(cross_entropy(student, softened))
