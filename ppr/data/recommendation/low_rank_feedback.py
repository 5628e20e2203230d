"""Low-rank feedback: users who choose items by a few hidden tastes, by popularity and by chance.

With tastes a_u, b_i ~ N(0, I) of `rank` dimensions and popularities c_i ~ N(0, 1), user u chooses
the `chosen` items of greatest

    strength <a_u, b_i> / sqrt(rank) + popularity c_i + g_ui,    g_ui of the Gumbel distribution

which is to draw them one after another, without replacement, from the softmax of the rest of it.
`test` of each user's items, at random, are the test part. All is drawn with `split_seed`.

Made here, nothing is read. Raises BadRequest for more items a user than there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data.card import Card
from ppr.data.hub import Place
from ppr.data.recommendation.feedback import SHAPE, FeedbackSource
from ppr.errors import BadRequest
from ppr.fields import Count, NonNegative
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np


@component("dataset", inputs="user", targets="item")
class LowRankFeedback(FeedbackSource):
    def __init__(
        self,
        root: Path | None = None,
        *,
        users: Count = 200,
        items: Count = 200,
        rank: Count = 6,
        chosen: Count = 20,
        test: Count = 8,
        strength: NonNegative = 2.0,
        popularity: NonNegative = 1.0,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        if not test < chosen < items:
            what = f"must be more than test={test} and less than items={items}"
            raise BadRequest(f"dataset.chosen={chosen}: {what}")
        self.users, self.items, self.rank = users, items, rank
        self.chosen, self.test = chosen, test
        self.strength, self.popularity = strength, popularity
        self.card = Card(
            name="low_rank_feedback",
            shape=SHAPE,
            classes=tuple(map(str, range(items))),
            rows={"train": users * (chosen - test), "test": users * test},
            source="drawn by ppr",
            licence="none needed",
        )

    def find(self) -> Place:
        return Place("drawn", Path(__file__).parent, {})

    def interactions(self) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        stream = np.random.SeedSequence((self.split_seed, self.rank))
        random = np.random.RandomState(np.random.MT19937(stream))
        tastes = random.randn(self.users, self.rank) @ random.randn(self.rank, self.items)
        utility = self.strength * tastes / self.rank**0.5
        utility += self.popularity * random.randn(self.items)
        utility += random.gumbel(size=utility.shape)
        best = utility.argsort(1)[:, -self.chosen :]
        drawn = np.take_along_axis(best, random.rand(*best.shape).argsort(1), 1)

        def pairs(items: np.ndarray) -> np.ndarray:
            rows = np.repeat(np.arange(self.users), items.shape[1])
            return np.stack([rows, np.sort(items, 1).reshape(-1)], 1)

        return pairs(drawn[:, self.test :]), pairs(drawn[:, : self.test])
