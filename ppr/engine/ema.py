"""An exponential moving average of a module's weights and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """`average <- decay * average + (1 - decay) * weights` after every step.

    Integer buffers (batch-norm's counters) are copied.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.average = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._floats = [name for name, value in self.average.items() if value.is_floating_point()]
        self._others = [name for name in self.average if name not in self._floats]

    @torch.no_grad()
    def update(self) -> None:
        now = self.module.state_dict()
        torch._foreach_lerp_(
            [self.average[name] for name in self._floats],
            [now[name] for name in self._floats],
            1 - self.decay,
        )
        for name in self._others:
            self.average[name].copy_(now[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module holds the average inside the context and its own weights after it."""
        own = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.average)
        try:
            yield
        finally:
            self.module.load_state_dict(own)

    def load(self, average: dict[str, Tensor]) -> None:
        """Take a saved average."""
        for name, value in average.items():
            self.average[name].copy_(value)
