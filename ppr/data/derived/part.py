"""A part of another data set's training split: some of its classes, or one of two shares.

Validation and test splits, mean and deviation stay those of the whole set, so that what was learnt
on different parts can be compared and merged. The shares are drawn by class with `split_seed`:
`cut` samples, and the rest.

Raises BadRequest for a cut that leaves nothing, or a class that is not there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.config.build import build
from ppr.data.source import Source
from ppr.errors import BadRequest
from ppr.fields import Count, Literal, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.dataset import Dataset
    from ppr.data.hub import Place

OWN_STREAM = 3
"""Its draw must not be that of a validation split with the same seed."""


@component("dataset", like="of")
class Part(Source):
    """`of` is the whole set's name; what is set beside these fields is handed on to it."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        of: str = "digits",
        classes: list[Whole] | None = None,
        cut: Count | None = None,
        take: Literal["cut", "rest"] = "cut",
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.whole: Source = build("dataset", of, root, **shared)
        self.card = self.whole.card
        known = range(len(self.card.classes))
        if classes is not None and not set(classes) <= set(known):
            raise BadRequest(f"dataset.classes={classes}: {of} has the classes 0 to {known[-1]}")
        self.chosen, self.cut, self.take = classes, cut, take

    def find(self) -> Place | None:
        return self.whole.find()

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        return self.whole.synthetic(n, seed)

    def load(self) -> Dataset:
        import torch

        from ppr.data.dataset import Split, digest
        from ppr.data.splits import hold_out

        data = self.whole.load()
        train = data.train
        assert isinstance(train, Split)
        rows = torch.arange(len(train))
        if self.cut is not None:
            if self.cut >= len(train):
                raise BadRequest(f"dataset.cut={self.cut}: must be less than {len(train)}")
            seed = self.split_seed, OWN_STREAM
            rest, cut = hold_out(train.targets.numpy(), self.cut, seed)
            rows = torch.from_numpy(cut if self.take == "cut" else rest)
        if self.chosen is not None:
            rows = rows[torch.isin(train.targets[rows], torch.tensor(self.chosen))]
        extra = {name: values[rows] for name, values in train.extra.items()}
        train = Split(train.inputs[rows], train.targets[rows], extra)
        splits: Any = {"train": train, "validation": data.validation, "test": data.test}
        return replace(data, train=train, digest=digest(splits))
