"""Random numbers of a batch that do not depend on the number of devices.

Every device has the same stream and draws from it for the global batch; of what has a row for each
sample it keeps its own rows. So a sample is augmented, and its negatives or its noise level are
drawn, as on one device, whatever share of the batch a device has. What is one for the whole batch
is the same on all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ppr.engine import distributed
from ppr.errors import BadRequest

_SHAPED: tuple[Any, ...] = (torch.rand, torch.randn)


class OwnRows(TorchFunctionMode):
    """Inside it, what is drawn from `random` is this device's rows of what one device would draw.

    Args:
        random: the stream that all devices have.
        samples: rows of a sample each that this device has; what it draws has a multiple of them,
            the first views of all samples before their second ones.

    Raises:
        BadRequest: something is drawn in a way that has no rows to share out.
    """

    def __init__(self, random: torch.Generator, samples: int) -> None:
        super().__init__()
        self.random, self.samples = random, samples

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs, call = kwargs or {}, cast(Any, func)
        if kwargs.get("generator") is not self.random:
            return func(*args, **kwargs)
        if func in _SHAPED:
            size = kwargs.pop("size", args[0] if args and not isinstance(args[0], int) else args)
            return self._of_all(tuple(size), lambda whole: call(whole, **kwargs))
        if func is torch.randint:
            bounds, size = list[Any](args[:-1]), args[-1]
            return self._of_all(tuple(size), lambda whole: call(*bounds, whole, **kwargs))
        if func is torch.multinomial and args[0].dim() == 1:
            law, count = args
            return self._of_all((count,), lambda whole: call(law, whole[0], **kwargs))
        name = getattr(func, "__name__", str(func))
        raise BadRequest(f"engine.devices: {name} draws across a batch, which is shared out; use 1")

    def _of_all(self, size: tuple[int, ...], draw: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        if not size or size[0] % self.samples or not math.prod(size):
            return draw(size)  # no rows of samples: one draw for all
        devices, blocks = distributed.size(), size[0] // self.samples
        whole = draw((size[0] * devices, *size[1:]))
        rows = whole.view(blocks, devices, self.samples, *size[1:])
        return rows[:, distributed.rank()].reshape(size)
