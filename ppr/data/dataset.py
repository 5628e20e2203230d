"""What a dataset component returns: named splits of tensors, with what a model must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Split:
    """`inputs` [N, ...] (images: uint8 [N, C, H, W]) and `targets` [N] (int64 class numbers)."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Dataset:
    """Splits of one data set. `validation` is held out of the training part; None if none is.

    `shape` is one input's shape, (C, H, W) for images; `mean` and `std` are a channel's over the
    training part, in fractions of 1; `digest` is a SHA-256 over every split's inputs and targets,
    so that two runs can be known to have used the same data and the same split.
    """

    name: str
    train: Split
    validation: Split | None
    test: Split
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    extra: Mapping[str, Any] = field(default_factory=dict)
