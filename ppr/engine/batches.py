"""Batches of a training split: resident on the device, or streamed by loader processes.

The order of an epoch follows from the seed and the epoch's number alone, so that a run resumed in
the middle of an epoch sees the same rest of it. On several devices each draws the same order and
takes its share of every batch, or of every part of one that `engine.accumulate` cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ppr.data.dataset import Split
from ppr.data.stream import in_one_line
from ppr.engine import distributed
from ppr.engine.seeding import generator
from ppr.errors import BadRequest


@dataclass(frozen=True)
class Batch:
    """`inputs` [B, ...] as stored (images: uint8), `targets` [B], `indices` [B] in the split."""

    inputs: Tensor
    targets: Tensor
    indices: Tensor


class Sampler(Protocol):
    """Chooses the batches of an epoch."""

    def epoch(self, targets: Tensor, batch_size: int, random: torch.Generator) -> Tensor:
        """The sample numbers of every step: int64 [steps, batch_size], on the CPU."""


class EmbeddingSampler(Protocol):
    """Chooses the batches of an epoch by the network's embeddings at its beginning."""

    def steps(self, samples: int, batch_size: int) -> int:
        """Batches in an epoch."""

    def choose(self, pairs: Tensor, batch_size: int, random: torch.Generator) -> Tensor:
        """The sample numbers of every step, from the embeddings [N, 2, D] of all samples' pairs."""


EMBEDDED_AT_ONCE = 1024

Embed = Callable[[Tensor, torch.Generator], Tensor]
"""Stored inputs [N, ...] -> embeddings of their pairs [N, 2, D]."""


class Shuffle:
    """Every sample once an epoch, in a new random order; a last partial batch is left out."""

    def epoch(self, targets: Tensor, batch_size: int, random: torch.Generator) -> Tensor:
        steps = len(targets) // batch_size
        return torch.randperm(len(targets), generator=random)[: steps * batch_size].view(steps, -1)


class Batches:
    """The batches of a split, epoch by epoch, on `device`: of each, this device's share.

    A batch is cut into `parts`, of each of which a device has its share.

    `chosen` is an epoch and the order that an `EmbeddingSampler` gave it. It does not follow from
    the seed, so checkpoints keep it.

    Raises:
        BadRequest: the batch is larger than the split, or the sampler looks at embeddings that the
            task does not make or of data that are not on the device.
    """

    def __init__(
        self,
        split: Split | Any,
        batch_size: int,
        seed: int,
        device: torch.device,
        *,
        sampler: Sampler | EmbeddingSampler | None = None,
        embed: Embed | None = None,
        workers: int = 2,
        resident_gb: float = 4.0,
        parts: int = 1,
    ) -> None:
        if batch_size > len(split):
            raise BadRequest(
                f"engine.batch_size={batch_size}: larger than the training split ({len(split)})"
            )
        self.batch_size, self.parts = batch_size, parts
        self.seed = seed
        self.device = device
        self.workers = workers
        self.sampler: Any = sampler or Shuffle()
        self.chooses = hasattr(self.sampler, "choose")
        self.embed = embed
        self.chosen: tuple[int, Tensor] | None = None
        self.split = split
        self.resident = isinstance(split, Split) and split.inputs.nbytes <= resident_gb * 2**30
        self.targets = split.targets.cpu()
        if self.resident:
            self.inputs_here = split.inputs.to(device)
            self.targets_here = split.targets.to(device)
        self.steps_per_epoch = self._steps() if self.chooses else len(self.order(0))

    def order(self, epoch: int) -> Tensor:
        random = generator(torch.device("cpu"), self.seed, "order", epoch)
        if not self.chooses:
            order: Tensor = self.sampler.epoch(self.targets, self.batch_size, random)
            return order
        if self.chosen is None or self.chosen[0] != epoch:
            self.chosen = epoch, distributed.from_main(lambda: self._choose(epoch, random))
        return self.chosen[1]

    def _choose(self, epoch: int, random: torch.Generator) -> Tensor:
        assert self.embed is not None
        views = generator(self.device, self.seed, "embed", epoch)
        pairs = [self.embed(part, views) for part in self.inputs_here.split(EMBEDDED_AT_ONCE)]
        chosen: Tensor = self.sampler.choose(torch.cat(pairs), self.batch_size, random)
        return chosen

    def _steps(self) -> int:
        """Batches of an epoch that the sampler will choose when it has seen the embeddings."""
        if self.embed is None:
            raise BadRequest(
                "sampler: it looks at the embeddings of pairs; needs task=match or contrast"
            )
        if not self.resident:
            raise BadRequest(
                "sampler: it looks at the embeddings of all samples; needs data that stay on the "
                "device (engine.resident_gb)"
            )
        steps: int = self.sampler.steps(len(self.split), self.batch_size)
        return steps

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from its step `start` on."""
        order = self.order(number)[start:]
        # A share of each part, so that a part is the same on any number of devices.
        steps, size = len(order), order.shape[1] // self.parts
        own = order.view(steps, self.parts, size)[:, :, distributed.share(size)]
        order = own.reshape(steps, -1) if steps else order
        if self.resident:
            return self._gather(order.to(self.device))
        return self._load(order)

    def _gather(self, order: Tensor) -> Iterator[Batch]:
        for indices in order:
            yield Batch(self.inputs_here[indices], self.targets_here[indices], indices)

    def _load(self, order: Tensor) -> Iterator[Batch]:
        source = _Rows(self.split, order)
        pinned = self.device.type == "cuda"
        own = torch.Generator()  # else each epoch would draw from the global one
        loader = DataLoader(
            source, batch_size=None, num_workers=self.workers, pin_memory=pinned, generator=own
        )
        for inputs, targets, indices in in_one_line(loader):
            move = [part.to(self.device, non_blocking=True) for part in (inputs, targets, indices)]
            yield Batch(*move)


class _Rows(torch.utils.data.Dataset[tuple[Tensor, Tensor, Tensor]]):
    """One item a batch: loader processes read whole batches, in the epoch's order."""

    def __init__(self, split: Any, order: Tensor) -> None:
        self.split, self.order = split, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        if step >= len(self.order):
            raise IndexError(step)
        indices = self.order[step]
        if isinstance(self.split, Split):
            return self.split.inputs[indices], self.split.targets[indices], indices
        inputs, targets = self.split.load(indices)
        return inputs, targets, indices


def total_steps(steps_per_epoch: int, epochs: int, max_steps: int | None) -> int:
    """Optimizer steps of a run."""
    steps = steps_per_epoch * epochs
    return steps if max_steps is None else min(steps, max_steps)
