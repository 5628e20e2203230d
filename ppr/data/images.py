"""Labelled images of one size in Parquet files, decoded once and then memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data import hub
from ppr.data.decode import decode, label_column
from ppr.data.source import ArraySource
from ppr.data.tables import read_parquet
from ppr.errors import RunFailed

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.source import Examples


class ImageSource(ArraySource):
    """A data set of small images: uint8 [N, C, H, W] and int64 [N]."""

    def read(self) -> Mapping[str, Examples]:
        place = hub.locate(self.card, self.root)
        return {split: self._read_split(split, files) for split, files in place.files.items()}

    def arrays(self) -> Mapping[str, Examples]:
        from ppr.data.cache import cached, fingerprint

        place = hub.locate(self.card, self.root)
        files = [file for files in place.files.values() for file in files]
        made_from = [fingerprint(files), self.card.shape, dict(self.card.columns)]

        def make() -> dict[str, np.ndarray]:
            named = {}
            for split, (images, targets) in self.read().items():
                named[f"{split}.images"], named[f"{split}.targets"] = images, targets
            return named

        flat = cached(self.card.name, made_from, make)
        return {split: (flat[f"{split}.images"], flat[f"{split}.targets"]) for split in place.files}

    def _read_split(self, split: str, files: Sequence[Path]) -> Examples:
        import numpy as np

        card = self.card
        image, label = card.columns["input"], card.columns["target"]
        parts = []
        for file in files:
            table = read_parquet(file, [image, label])
            targets = label_column(table, label, len(card.classes), file)
            parts.append((decode(table[image], card.shape, file), targets))
        images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
        if len(images) != card.rows[split]:
            what = f"{len(images)} rows in split {split}, where {card.rows[split]} are published"
            raise RunFailed(f"{files[0].parent}: {what}")
        return images, labels
