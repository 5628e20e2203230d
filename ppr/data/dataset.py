"""What a dataset component loads: named splits of tensors, with what a model must know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # light commands read the cards of components that import this module
    from torch import Tensor

    from ppr.data.card import Card
    from ppr.data.stream import StreamSplit


@dataclass(frozen=True)
class Split:
    """`inputs` [N, ...] (images: uint8 [N, C, H, W]) and `targets` [N] (int64 class numbers).

    Targets of other tasks are [N, ...]: several labels, a mask, the next tokens. `extra` holds what
    else is known of each sample, [N, ...] by name (its group, its weight), which a task finds by
    the `indices` of a batch.
    """

    inputs: Tensor
    targets: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Dataset:
    """Splits of one data set. `validation` is held out of the training part; None if none is.

    `shape` is one input's shape, (C, H, W) for images. `mean` and `std` are those to normalise a
    channel with, in fractions of 1: the published ones, or else those of the training part; empty
    when the inputs are not images. `digest` is a SHA-256 over every split's inputs and targets, so
    that two runs can be known to have used the same data and the same split.
    """

    name: str
    train: Split | StreamSplit
    validation: Split | StreamSplit | None
    test: Split | StreamSplit
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def counts(self) -> dict[str, Any]:
        """What a run's summary says of its data: which, and the samples of each split."""
        return {
            "name": self.name,
            "digest": self.digest,
            "train": len(self.train),
            "validation": len(self.validation) if self.validation else 0,
            "test": len(self.test),
        }


def assemble(
    card: Card,
    train: Split,
    validation: Split | None,
    test: Split,
    extra: Mapping[str, Any] | None = None,
) -> Dataset:
    """A `Dataset` of resident splits, described by its card, with its digest."""
    mean, std = card.mean, card.std
    if not mean and len(card.shape) == 3:
        mean, std = channel_statistics(train.inputs)
    return Dataset(
        name=card.name,
        train=train,
        validation=validation,
        test=test,
        shape=card.shape,
        classes=card.classes,
        mean=mean,
        std=std,
        digest=digest({"train": train, "validation": validation, "test": test}),
        extra=extra or {},
    )


def digest(splits: Mapping[str, Split | None]) -> str:
    """SHA-256 over each split's name and the type, shape and bytes of its tensors."""
    seen = hashlib.sha256()
    for name, split in splits.items():
        if split is None:
            continue
        for tensor in (split.inputs, split.targets, *(split.extra[k] for k in sorted(split.extra))):
            seen.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            seen.update(tensor.contiguous().numpy().data)
    return seen.hexdigest()


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 [N, C, H, W], in fractions of 1.

    From histograms: exact, and without a float copy of the images.
    """
    import torch

    grey = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.reshape(-1), minlength=256).double() / channel.numel()
        mean = (share * grey).sum()
        means.append(mean.item())
        stds.append((share * (grey - mean) ** 2).sum().sqrt().item())
    return tuple(means), tuple(stds)
