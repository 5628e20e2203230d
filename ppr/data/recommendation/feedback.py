"""The base of implicit feedback: who chose what, and nothing said of the rest.

A sample is an interaction: its input [1] is a user's number, its target an item's; the classes are
the items. `Dataset.extra["users"]` is how many users there are. Validation and test parts are
other items of the same users.

`hidden` is a share of the training interactions, of each user alike, that are taken out of training
and kept in `Dataset.extra["hidden"]` [H, 2], users and items: a task may show them as negatives,
which they are not ("false negatives").
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.source import Source
from ppr.fields import Fraction, Whole

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset

SHAPE = (1,)
"""Of an input: a user's number."""


class FeedbackSource(Source):
    """`interactions` gives who chose what; `validation` of them are held out, by user."""

    users: int

    def __init__(
        self,
        root: Path | None = None,
        *,
        validation: Whole = 0,
        hidden: Fraction = 0.0,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.hidden = hidden

    @abstractmethod
    def interactions(self) -> tuple[np.ndarray, np.ndarray]:
        """Those to train on and those to test with: int64 [N, 2], users and items."""

    def load(self) -> Dataset:
        import torch

        from ppr.data.dataset import Split, assemble
        from ppr.data.splits import hold_out

        known, test = self.interactions()
        kept, held = self.split(known[:, 0])
        train = known if kept is None else known[kept]
        # A stream of its own: seed 0 here must not repeat the shuffle of a split with seed 0.
        seen, hidden = hold_out(train[:, 0], round(self.hidden * len(train)), (self.split_seed, 5))

        def take(pairs: np.ndarray) -> Split:
            return Split(
                torch.from_numpy(pairs[:, :1].copy()), torch.from_numpy(pairs[:, 1].copy())
            )

        extra = {"users": self.users, "hidden": torch.from_numpy(train[hidden])}
        validation = None if held is None else take(known[held])
        return assemble(self.card, take(train[seen]), validation, take(test), extra)

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        """`n` random interactions in each split."""
        import torch

        from ppr.data.synthetic import synthetic

        held = self.validation > 0
        data = synthetic(self.card, n, validation=held, seed=seed, vocabulary=self.users)
        none = torch.empty(0, 2, dtype=torch.int64)
        return replace(data, extra={**data.extra, "users": self.users, "hidden": none})
