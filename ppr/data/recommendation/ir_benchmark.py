"""IR-Benchmark's catalogues: implicit feedback of Amazon and Gowalla, split by PSL's authors.

Yang et al., "PSL", NeurIPS 2024, appendix B.1: users and items with ten interactions at least, of
ratings of 3 or more; of each user's 80 % are to train on and 20 % to test with. Counts are those of
dataset_summary.md beside the files.

Get it: data_iid/<variant>/proc.zip of github.com/Tiny-Snow/IR-Benchmark-Dataset, unpacked to the
folder ir_benchmark/<variant> of PPR_DATA (train.tsv and test.tsv: a user's number, an item's).

Raises RunFailed for files that are not the published ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ppr.data import hub
from ppr.data.card import Card
from ppr.data.recommendation.feedback import SHAPE, FeedbackSource
from ppr.errors import RunFailed
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

# users, items, interactions to train on and to test with
CATALOGUES = {
    "amazon2014-electronic": (13_455, 8360, 182_398, 52_123),
    "gowalla": (29_858, 40_988, 810_128, 217_336),
}


@component("dataset", inputs="user", targets="item")
class IRBenchmark(FeedbackSource):
    def __init__(
        self,
        root: Path | None = None,
        *,
        variant: Literal["amazon2014-electronic", "gowalla"] = "amazon2014-electronic",
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.users, items, train, test = CATALOGUES[variant]
        self.card = Card(
            name="ir_benchmark",
            shape=SHAPE,
            classes=tuple(map(str, range(items))),
            rows={"train": train, "test": test},
            source="https://github.com/Tiny-Snow/IR-Benchmark-Dataset",
            licence="not stated; that of each source",
            files={part: f"{variant}/{part}.tsv" for part in ("train", "test")},
        )

    def interactions(self) -> tuple[np.ndarray, np.ndarray]:
        place = hub.locate(self.card, self.root)
        train, test = (self._read(place.files[part][0], part) for part in ("train", "test"))
        return train, test

    def _read(self, file: Path, part: str) -> np.ndarray:
        import numpy as np

        try:
            pairs = np.loadtxt(file, dtype=np.int64, delimiter="\t", skiprows=1, ndmin=2)
        except ValueError as error:
            raise RunFailed(f"{file}: not two numbers a line: {error}") from None
        limits = (self.users, len(self.card.classes))
        if pairs.shape != (self.card.rows[part], 2) or (pairs.max(0) >= limits).any():
            rows = self.card.rows[part]
            raise RunFailed(f"{file}: {len(pairs)} interactions, where {rows} are published")
        return pairs
