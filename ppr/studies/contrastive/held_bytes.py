"""Memory as bytes of tensors: the most that were held at once, counted and not sampled.

A storage counts once, however many tensors share it, from when it is met until it is freed. What a
kernel takes and gives back inside itself is no tensor and is not seen. Not a study itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class HeldBytes:
    """`now` and at most (`peak`), less the storages of `apart`, which are there anyway.

    What is counted here is counted in `within` too, of which this is a part.
    """

    def __init__(self, apart: Iterable[Tensor] = (), within: HeldBytes | None = None) -> None:
        self.now = self.peak = 0
        self.within = within
        self._apart = {tensor.untyped_storage()._cdata for tensor in apart}
        self._held: set[int] = set()

    def count(self, tensor: Tensor) -> Tensor:
        if self.within is not None:
            self.within.count(tensor)
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._held and key not in self._apart:
            self._held.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            finalizer = weakref.finalize(storage, self._free, key, size)
            finalizer.atexit = False
        return tensor

    def _free(self, key: int, size: int) -> None:
        self._held.discard(key)
        self.now -= size

    def saved(self) -> AbstractContextManager[Any]:
        """Count what the graphs made inside save for their backward pass."""
        return saved_tensors_hooks(self.count, lambda tensor: tensor)

    def made(self) -> AbstractContextManager[Any]:
        """Count the results of every operation inside, of forward and backward passes alike."""
        return _Made(self)


class _Made(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, held: HeldBytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = held

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(results):
            if isinstance(leaf, Tensor):
                self.held.count(leaf)
        return results
