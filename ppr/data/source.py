"""The base of dataset components: arrays in, a `Dataset` with its splits out.

A set that fits in memory is an `ArraySource` with a card and `read()`; the splitting, the limit,
the digest and the synthetic stand-in are here. Nothing at the top of these modules imports torch,
so that `ppr data list` can read the cards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub
from ppr.data.card import Card
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Fraction, Ge, Literal, Whole

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset

    Examples = tuple[np.ndarray, np.ndarray]
    """Inputs [N, ...] and targets [N]."""


class Source(ABC):
    """One data set: `card` without its data, `load()` with it, `synthetic(n)` in place of it.

    `root` is a local mirror folder or None. `validation` examples are held out of the training
    part, by class, with `split_seed`; of the rest, `limit` keeps a class-balanced subset, and
    `imbalance` one with a long tail: its first class is so many times as large as its last, in the
    order of their numbers or in one drawn with `tail_seed`.
    """

    card: Card

    def __init__(
        self,
        root: Path | None = None,
        *,
        validation: Whole = 0,
        split_seed: Whole = 0,
        limit: Count | None = None,
        imbalance: Annotated[float, Ge(1)] | None = None,
        tail_seed: Whole | None = None,
    ) -> None:
        self.root = root
        self.validation = validation
        self.split_seed = split_seed
        self.limit = limit
        self.imbalance = imbalance
        self.tail_seed = tail_seed

    @abstractmethod
    def load(self) -> Dataset:
        """Read the data and split it.

        Raises:
            BadRequest: the data is not here and cannot be had, or the split asks for too much.
            RunFailed: a file is torn or is not the published data.
        """

    @property
    def published(self) -> Card:
        """The card of the files it reads, which may be another data set's."""
        return self.card

    def find(self) -> hub.Place | None:
        """Where the data is on this machine, without asking the network; None if nowhere."""
        return hub.find(self.published, self.root)

    def split(self, targets: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Rows of the training and the validation part; None for all rows, and for no part."""
        from ppr.data.splits import balanced, hold_out, long_tail

        kept = held = None
        if self.validation:
            if self.validation >= len(targets):
                what = f"must be less than the {len(targets)} training examples"
                raise BadRequest(
                    f"dataset.validation={self.validation}: {what} of {self.card.name}"
                )
            kept, held = hold_out(targets, self.validation, self.split_seed)
        if self.limit is not None:
            left = targets if kept is None else targets[kept]
            chosen = balanced(left, self.limit, self.split_seed)
            kept = chosen if kept is None else kept[chosen]
        if self.imbalance is not None:
            left = targets if kept is None else targets[kept]
            try:
                chosen = long_tail(left, self.imbalance, self.split_seed, self.tail_seed)
            except ValueError as error:
                what = f"{error}, of the {len(left)} that {self.card.name} has to train on"
                raise BadRequest(f"dataset.imbalance={self.imbalance}: {what}") from None
            kept = chosen if kept is None else kept[chosen]
        return kept, held

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        """Random data of the same shape, classes and splits, `n` examples in each."""
        from ppr.data.synthetic import synthetic

        return synthetic(self.card, n, validation=self.validation > 0, seed=seed)


class ArraySource(Source):
    """A data set that fits in memory: `read` gives the published arrays, `load` splits them.

    `load` then makes a share `noise` of the training labels wrong, with `noise_seed`: each is
    changed to one of the other classes, or to the next one. Validation and test labels stay as they
    are.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        noise: Fraction = 0.0,
        noise_seed: Whole = 0,
        noise_to: Literal["others", "next"] = "others",
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.noise = noise
        self.noise_seed = noise_seed
        self.noise_to = noise_to

    @abstractmethod
    def read(self) -> Mapping[str, Examples]:
        """The published splits, "train" and "test", as arrays."""

    def left(self) -> int:
        """How many of the published training rows are not held out."""
        return self.card.rows["train"] - self.validation

    def arrays(self) -> Mapping[str, Examples]:
        """What `read` gives; a source whose reading is slow caches it here."""
        return self.read()

    def load(self) -> Dataset:
        import torch

        from ppr.data.dataset import Split, assemble
        from ppr.data.splits import flip_labels

        arrays = self.arrays()
        kept, held = self.split(arrays["train"][1])

        def take(part: str, rows: np.ndarray | None = None) -> Split:
            inputs, targets = arrays[part]
            if rows is not None:
                inputs, targets = inputs[rows], targets[rows]
            return Split(torch.from_numpy(inputs), torch.from_numpy(targets))

        validation = None if held is None else take("train", held)
        train = take("train", kept)
        if self.noise:
            labels = train.targets.numpy()
            classes = len(self.card.classes)
            noisy = flip_labels(labels, classes, self.noise, self.noise_seed, self.noise_to)
            train = Split(train.inputs, torch.from_numpy(noisy))
        return assemble(self.card, train, validation, take("test"))
