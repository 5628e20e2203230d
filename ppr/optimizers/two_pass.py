"""Optimizers that take the gradient twice a step: where the weights are, and where that leads.

The loop computes the gradient of a batch, calls `ascend`, computes it again on the same batch with
the same random numbers, calls `descend`, and then `step`. Under fp16 the first gradient comes
scaled by the loss scale, so `ascend` must not depend on its length; a gradient that is not finite
may lead anywhere, for `descend` returns to weights that were kept, not computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class TwoPass(torch.optim.Optimizer, ABC):
    @abstractmethod
    def ascend(self) -> None:
        """Keep the weights, and move them to where the second gradient is taken."""

    @abstractmethod
    def descend(self) -> None:
        """Put the kept weights back; their gradients stay."""
