"""Whether a step may be taken: its loss and its gradient are finite.

The loss alone does not tell: where a function is finite but steep without bound, or a sum of large
terms overflows on the way back, the loss of a step is finite and its gradient is not. The weights
are then lost, and it is the next step whose loss shows it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ppr.engine import distributed
from ppr.optimizers.norms import largest

DEAD_AFTER = 50
"""So many skipped steps in a row are no accident: a loss scale of 2^16 is down to 2^-34 by then."""


@torch.no_grad()
def soundness(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Whether the loss is finite, and the gradient: bool [2] on the device, without waiting."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    good = loss.isfinite()
    finite = largest(gradients).isfinite().all() if gradients else torch.ones_like(good)
    return torch.stack([good, finite])


def agreed(sound: Tensor) -> tuple[bool, bool]:
    """The same on every device: what one of them cannot do, none does. Waits for the device."""
    loss, gradient = (distributed.all_sum((~sound).float()) == 0).tolist()
    return loss, gradient
