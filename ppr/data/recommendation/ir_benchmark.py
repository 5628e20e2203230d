"""IR-Benchmark's catalogues: implicit feedback of Amazon and Gowalla, split by PSL's authors.

Yang et al., "PSL", NeurIPS 2024, appendix B.1: users and items with ten interactions at least, of
ratings of 3 or more; of each user's 80 % are to train on and 20 % to test with. Counts are those of
dataset_summary.md beside the files.

`ppr data fetch gowalla amazon_electronic` gets data_iid/<variant>/proc.zip of
github.com/Tiny-Snow/IR-Benchmark-Dataset, unpacked to ir_benchmark/<variant> (train.tsv and
test.tsv: a user's number, an item's).

Raises RunFailed for files that are not the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ppr.data import hub, originals
from ppr.data.card import Card, Original
from ppr.data.recommendation.feedback import SHAPE, FeedbackSource
from ppr.errors import RunFailed
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

COMMIT = "18bbbe892301c6013579ae70f3cab9d666878e23"
GITHUB = f"https://raw.githubusercontent.com/Tiny-Snow/IR-Benchmark-Dataset/{COMMIT}/data_iid"
ARCHIVES = {
    "amazon2014-electronic": "7c67d05b3792aebaa46a7c46af438c574263f9e34e8a4ae67a40de17dc094ee0",
    "gowalla": "6412ab68a7484a2edf762f715b2397a977b40cfedad7efefd1c493608ffc1bdf",
}
# users, items, interactions to train on and to test with
CATALOGUES = {
    "amazon2014-electronic": (13_455, 8360, 182_398, 52_123),
    "gowalla": (29_858, 40_988, 810_128, 217_336),
}


def unpack(variant: str, folder: Path, files: Mapping[str, Path]) -> None:
    originals.unzip(files[f"{variant}.zip"], ("train.tsv", "test.tsv"), folder / variant)


def published(variant: str) -> Card:
    _, items, train, test = CATALOGUES[variant]
    return Card(
        name="ir_benchmark",
        shape=SHAPE,
        classes=tuple(map(str, range(items))),
        rows={"train": train, "test": test},
        source="https://github.com/Tiny-Snow/IR-Benchmark-Dataset",
        licence="not stated; that of each source",
        files={part: f"{variant}/{part}.tsv" for part in ("train", "test")},
        originals={f"{variant}.zip": Original(f"{GITHUB}/{variant}/proc.zip", ARCHIVES[variant])},
        unpack=partial(unpack, variant),
    )


@component("dataset", inputs="user", targets="item")
class IRBenchmark(FeedbackSource):
    card = published("amazon2014-electronic")

    def __init__(
        self,
        root: Path | None = None,
        *,
        variant: Literal["amazon2014-electronic", "gowalla"] = "amazon2014-electronic",
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.users = CATALOGUES[variant][0]
        self.card = published(variant)

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
