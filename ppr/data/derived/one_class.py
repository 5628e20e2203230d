"""One class: another set's images of one class to learn from, and anomalies among its test images.

Training shows class `normal` alone, the validation and test splits show it (target 0) and the other
classes of `among` (target 1), or of the whole set: the one-vs-rest protocol of anomaly detection.
Splits follow from `split_seed`; `limit` is of training images. `validation` test images of these
classes are set apart from the test split.

Raises BadRequest for a class that is not there or no other to tell it from.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.config.build import build
from ppr.data.source import Source
from ppr.errors import BadRequest
from ppr.fields import Count, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.dataset import Dataset
    from ppr.data.hub import Place


@component("dataset", like="of")
class OneClass(Source):
    """`of` is the whole set's name."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        of: str = "mnist",
        normal: Whole = 0,
        among: list[Whole] | None = None,
        validation: Whole = 0,
        split_seed: Whole = 0,
        limit: Count | None = None,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed, limit=limit)
        self.whole: Source = build("dataset", of, root)
        known = len(self.whole.card.classes)
        self.among = sorted({normal, *(range(known) if among is None else among)})
        if self.among[-1] >= known:
            raise BadRequest(f"dataset.normal, among: {of} has the classes 0 to {known - 1}")
        if len(self.among) < 2:
            raise BadRequest(f"dataset.among={among}: must name a class beside the normal one")
        self.normal = normal
        self.card = replace(
            self.whole.card, name=f"{of}, one class", classes=("normal", "anomalous"), rows={}
        )

    def find(self) -> Place | None:
        return self.whole.find()

    def load(self) -> Dataset:
        import torch

        from ppr.data.dataset import Split, digest
        from ppr.data.splits import balanced, hold_out

        data = self.whole.load()
        assert isinstance(data.train, Split)
        assert isinstance(data.test, Split)
        pictures, targets = data.test.inputs, data.test.targets
        own = (data.train.targets == self.normal).nonzero().flatten()
        if self.limit is not None:
            own = own[balanced(data.train.targets[own].numpy(), self.limit, self.split_seed)]
        shown = torch.isin(targets, torch.tensor(self.among)).nonzero().flatten()
        test, held = shown, None
        if self.validation:
            kept, aside = hold_out(targets[shown].numpy(), self.validation, self.split_seed)
            test, held = shown[torch.from_numpy(kept)], shown[torch.from_numpy(aside)]

        def anomalies(rows: torch.Tensor) -> Split:
            return Split(pictures[rows], (targets[rows] != self.normal).long())

        train = Split(data.train.inputs[own], torch.zeros(len(own), dtype=torch.int64))
        validation = None if held is None else anomalies(held)
        tested = anomalies(test)
        splits = {"train": train, "validation": validation, "test": tested}
        return replace(
            data,
            name=self.card.name,
            classes=self.card.classes,
            digest=digest(splits),
            train=train,
            validation=validation,
            test=tested,
        )
