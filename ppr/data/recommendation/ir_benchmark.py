"""IR-Benchmark's catalogues: implicit feedback of Amazon and Gowalla, split by PSL's authors.

Yang et al., "PSL", NeurIPS 2024, appendix B.1: users and items with ten interactions at least, of
ratings of 3 or more; of each user's 80 % are to train on and 20 % to test with. Counts are those of
dataset_summary.md beside the files.

`ppr data fetch gowalla amazon_electronic` gets data_iid/<variant>/proc.zip of
github.com/Tiny-Snow/IR-Benchmark-Dataset; its train.tsv and test.tsv (a user's number, an item's)
become ir_benchmark/<variant>/train.parquet and test.parquet with the columns `user` and `item`.

Raises RunFailed for files that are not the published ones.
"""

from __future__ import annotations

import tempfile
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
    "amazon2014-beauty": "859ef880d3445d8502abc4b7b77f713c2d8f510ff82ebb173af87ce46417f23b",
    "amazon2014-cd": "3b2d0a57f4aceed5fa21eb3dd144ca5864e1e69f0ffe21e95b783752461c322b",
    "amazon2014-electronic": "7c67d05b3792aebaa46a7c46af438c574263f9e34e8a4ae67a40de17dc094ee0",
    "amazon2014-health": "56f9e4b317903b99669b7f8b9ac527a71d30f59e736138a1ae9b8aca4c7e1779",
    "gowalla": "6412ab68a7484a2edf762f715b2397a977b40cfedad7efefd1c493608ffc1bdf",
}
COLUMNS = ("user", "item")
# users, items, interactions to train on and to test with
CATALOGUES = {
    "amazon2014-beauty": (1237, 719, 20_101, 5635),
    "amazon2014-cd": (12_784, 13_874, 283_608, 77_155),
    "amazon2014-electronic": (13_455, 8360, 182_398, 52_123),
    "amazon2014-health": (1974, 1200, 37_784, 10_405),
    "gowalla": (29_858, 40_988, 810_128, 217_336),
}


def unpack(variant: str, folder: Path, files: Mapping[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as aside:
        originals.unzip(files[f"{variant}.zip"], ("train.tsv", "test.tsv"), Path(aside))
        (folder / variant).mkdir(parents=True)
        for part in ("train", "test"):
            _, _, lines = (Path(aside) / f"{part}.tsv").read_bytes().partition(b"\n")  # the head
            to = folder / variant / f"{part}.parquet"
            originals.table(lines, to, COLUMNS, delimiter="\t")


def published(variant: str) -> Card:
    _, items, train, test = CATALOGUES[variant]
    return Card(
        name="ir_benchmark",
        shape=SHAPE,
        classes=tuple(map(str, range(items))),
        rows={"train": train, "test": test},
        source="https://github.com/Tiny-Snow/IR-Benchmark-Dataset",
        licence="not stated; that of each source",
        files={part: f"{variant}/{part}.parquet" for part in ("train", "test")},
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
        variant: Literal[
            "amazon2014-beauty",
            "amazon2014-cd",
            "amazon2014-electronic",
            "amazon2014-health",
            "gowalla",
        ] = "amazon2014-electronic",
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
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            found = pq.read_table(file, columns=list(COLUMNS))
            pairs = np.stack([found[name].to_numpy().astype(np.int64) for name in COLUMNS], 1)
        except (pa.ArrowException, ValueError) as error:
            first = str(error).partition("\n")[0]
            raise RunFailed(f"{file}: not a table of users' and items' numbers: {first}") from None
        limits, rows = (self.users, len(self.card.classes)), self.card.rows[part]
        if pairs.shape != (rows, 2) or (pairs.max(0) >= limits).any() or pairs.min() < 0:
            of = f"{rows} interactions of {limits[0]} users with {limits[1]} items"
            raise RunFailed(f"{file}: {len(pairs)} interactions, not the published ones: {of}")
        return pairs
