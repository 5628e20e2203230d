"""Digits: 1,797 grey 8x8 images of handwritten digits, inside scikit-learn.

The test set of UCI's "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
1998; https://archive.ics.uci.edu/dataset/80), as `sklearn.datasets.load_digits` gives it: pixels
are integers from 0 to 16, scaled here to 0 to 255. It has no published split; `test` examples are
set apart by class with `split_seed`. `labels: parity` makes even and odd the two classes, the digit
being known to those who ask (`Split.extra`): coarse classes to learn, fine ones to find again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ppr.data.card import Card
from ppr.data.hub import Place
from ppr.data.source import ArraySource
from ppr.errors import BadRequest
from ppr.fields import Count, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.dataset import Dataset
    from ppr.data.source import Examples

TOTAL = 1797


@component("dataset", inputs="image", targets="class")
class Digits(ArraySource):
    """The desk-scale image set: needs no file and no network."""

    card = Card(
        name="digits",
        shape=(1, 8, 8),
        classes=tuple("0123456789"),
        rows={"train": TOTAL - 500, "test": 500},
        source="sklearn.datasets.load_digits",
        licence="BSD-3-Clause (scikit-learn)",
    )

    def __init__(
        self,
        root: Path | None = None,
        *,
        validation: Whole = 297,
        test: Count = 500,
        labels: Literal["digit", "parity"] = "digit",
        **shared: Any,
    ) -> None:
        super().__init__(root, validation=validation, **shared)
        self.labels = labels
        if test >= TOTAL:
            raise BadRequest(f"dataset.test={test}: must be less than the {TOTAL} examples")
        self.card = replace(self.card, rows={"train": TOTAL - test, "test": test})

    def load(self) -> Dataset:
        return self._relabelled(super().load())

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        return self._relabelled(super().synthetic(n, seed))

    def _relabelled(self, data: Dataset) -> Dataset:
        from ppr.data.dataset import Split, digest

        if self.labels == "digit":
            return data

        def by_parity(part: Split | Any) -> Split:
            return Split(part.inputs, part.targets % 2, {"digit": part.targets})

        train, test = by_parity(data.train), by_parity(data.test)
        held = None if data.validation is None else by_parity(data.validation)
        parts = {"train": train, "validation": held, "test": test}
        return replace(
            data,
            train=train,
            validation=held,
            test=test,
            classes=("even", "odd"),
            digest=digest(parts),
        )

    def find(self) -> Place:
        import importlib.util

        spec = importlib.util.find_spec("sklearn")  # does not import it
        assert spec is not None
        assert spec.origin is not None
        return Place("scikit-learn", Path(spec.origin).parent, {})

    def read(self) -> Mapping[str, Examples]:
        import numpy as np
        from sklearn.datasets import load_digits

        from ppr.data.splits import hold_out

        pixels, targets = load_digits(return_X_y=True)
        images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        train, test = hold_out(targets, self.card.rows["test"], self.split_seed)
        return {"train": (images[train], targets[train]), "test": (images[test], targets[test])}
