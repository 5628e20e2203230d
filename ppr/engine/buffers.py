"""What forward passes write: the buffers of a task, as they were before.

Batch norm's statistics, the vectors of spectral norm, a loss's numbers of each sample: whatever a
module changes in a forward pass it keeps in buffers, or a resumed run could not know it. Those that
are not saved are constants, and are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Kept:
    """The buffers of a module as they are now, to be put back."""

    def __init__(self, module: nn.Module) -> None:
        self._found = [
            (part, name, buffer, buffer.detach().clone())
            for part in module.modules()
            for name, buffer in part._buffers.items()
            if buffer is not None and name not in part._non_persistent_buffers_set
        ]

    @torch.no_grad()
    def restore(self) -> None:
        for part, name, buffer, value in self._found:
            buffer.copy_(value)
            part._buffers[name] = buffer  # a module may have put another tensor in its place


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Whatever is written inside is undone at the end, to the same bits."""
    kept = Kept(module)
    try:
        yield
    finally:
        kept.restore()
