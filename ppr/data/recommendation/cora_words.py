"""Cora's words as implicit feedback: 2,708 papers "choose" 1,433 words, 49,216 times.

A stand-in for a catalogue of users and items, and no more than that: a real sparse matrix (1.3 %
filled) with the size and the long tail of one, whose papers are the users and whose words are the
items. `test` of the entries are set apart, every paper giving its share, with `split_seed`.

How to get it: ppr/data/graph/_planetoid.py. Raises BadRequest for a test part that leaves nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data.card import Card
from ppr.data.graph import _planetoid
from ppr.data.recommendation.feedback import SHAPE, FeedbackSource
from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

CORA = _planetoid.GRAPHS["cora"]
ENTRIES = 49_216


@component("dataset", inputs="user", targets="item")
class CoraWords(FeedbackSource):
    card = Card(
        name="cora_words",
        shape=SHAPE,
        classes=tuple(map(str, range(CORA.words))),
        rows={"train": ENTRIES - 9843, "test": 9843},
        source="https://github.com/kimiyoung/planetoid",
        licence="MIT",
    )
    users = CORA.nodes

    def __init__(self, root: Path | None = None, *, test: Count = 9843, **shared: Any) -> None:
        super().__init__(root, **shared)
        if test >= ENTRIES:
            raise BadRequest(f"dataset.test={test}: must be less than the {ENTRIES} entries")
        self.card = replace(self.card, rows={"train": ENTRIES - test, "test": test})

    @property
    def published(self) -> Card:
        return _planetoid.card("cora")

    def interactions(self) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        from ppr.data.splits import hold_out

        pairs = np.argwhere(_planetoid.read_citations("cora", self.root).words)
        kept, held = hold_out(pairs[:, 0], self.card.rows["test"], (self.split_seed, 6))
        return pairs[kept], pairs[held]
