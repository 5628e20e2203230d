"""PolyLoss: cross-entropy, or the focal loss, with its leading polynomial coefficient changed.

Paper: Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions",
ICLR 2022, arXiv:2204.12511. With p_t the probability of the true class,

    -log p_t = sum_{j >= 1} (1 - p_t)^j / j
    Poly-1 cross-entropy    L = -log p_t + epsilon (1 - p_t)
    Poly-1 focal loss       L = -(1 - p_t)^gamma log p_t + epsilon (1 - p_t)^(gamma + 1)

epsilon = 0 is the loss itself; below -1 the leading coefficient 1 + epsilon would reward errors.
Compared with polyloss.py of abhuse/polyloss-pytorch at 80416ae, whence the default epsilon = 1 and
whose focal loss has a sigmoid a class where this has the softmax; the authors released no code.

Shapes: logits [N, C]; target [N] integers or [N, C] probabilities. In nats. Half precision is
computed in float32. An empty batch gives 0 with a gradient of 0.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.fields import Annotated, Ge, NonNegative
from ppr.losses._classwise import complement, focal_term, log_probabilities, of_target, total
from ppr.registry import component


@component("loss", family="classification")
class PolyLoss(nn.Module):
    def __init__(
        self, *, epsilon: Annotated[float, Ge(-1)] = 1.0, gamma: NonNegative = 0.0
    ) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        losses = of_target(self._of_class, log_probabilities(logits), target)
        return total(losses, target, "sample")

    def _of_class(self, log_p: Tensor) -> Tensor:
        leading = complement(log_p).pow(self.gamma + 1)
        return focal_term(log_p, self.gamma) + self.epsilon * leading
