"""Digits: 1,797 grey 8x8 images of handwritten digits, inside scikit-learn.

The test set of UCI's "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
1998; https://archive.ics.uci.edu/dataset/80), as `sklearn.datasets.load_digits` gives it: pixels
are integers from 0 to 16, scaled here to 0 to 255. It has no published split; `test` examples are
set apart by class with `split_seed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.card import Card
from ppr.data.hub import Place
from ppr.data.source import ArraySource
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.source import Examples

TOTAL = 1797


@component("dataset")
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
        split_seed: Whole = 0,
        limit: Count | None = None,
        noise: Fraction = 0.0,
        noise_seed: Whole = 0,
    ) -> None:
        super().__init__(
            root,
            validation=validation,
            split_seed=split_seed,
            limit=limit,
            noise=noise,
            noise_seed=noise_seed,
        )
        if test >= TOTAL:
            raise BadRequest(f"dataset.test={test}: must be less than the {TOTAL} examples")
        self.card = replace(self.card, rows={"train": TOTAL - test, "test": test})

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
