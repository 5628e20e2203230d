"""Cross-entropy at every position that counts: the next token's, a pixel's, a step's.

    L = -1/|M| sum_{(n, s) in M} log softmax(z_ns)_{y_ns}

over the positions M of the mask, all of them without one. With tokens it is the loss that every
language model is trained with. In nats.

Shapes: outputs [N, *S, C]; targets [N, *S] integers; mask [N, *S] bool, or None. Half precision is
computed in float32. No position to count gives 0 with a gradient of 0.

Raises ValueError for shapes that do not fit.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.losses._positions import checked, masked_mean, negative_log_likelihood
from ppr.registry import component


@component("loss", family="sequence")
class NextTokenLoss(nn.Module):
    def forward(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        outputs, targets = checked(outputs, targets, mask)
        return masked_mean(negative_log_likelihood(outputs, targets), mask)
