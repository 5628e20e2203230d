"""Omniglot, its two small background sets: unseen handwritten characters to be told apart.

Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through probabilistic program
induction", Science 2015: 20 drawings of each character, 105x105, one bit a pixel. Training shows
the 136 characters of `small1` (Balinese, Early Aramaic, Greek, Korean, Latin); the test split has
the 106 characters of `small2` that are in alphabets of its own (Japanese katakana, Sanskrit,
Tagalog), so that no test class has been seen. `validation` is a number of whole characters held out
of training by `split_seed`. Ink is 255 here; images are pooled by boxes to `size`.

`ppr data fetch omniglot_small` gets both archives from github.com/brendenlake/omniglot (MIT).
Parquet files small1.parquet and small2.parquet with columns `image`, `alphabet` and `label` do as
well.

Raises BadRequest if there are not so many characters to hold out, RunFailed for files that are not
these sets.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub, originals
from ppr.data.card import Card, Original
from ppr.data.source import Source
from ppr.data.tables import read_parquet
from ppr.errors import BadRequest, RunFailed
from ppr.fields import Count, Whole
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset
    from ppr.data.source import Examples

SHARED = ("Greek", "Latin")
"""Alphabets of both sets."""
SEEN, UNSEEN, DRAWINGS = 136, 106, 20
COMMIT = "057f034baf2ecb8530bc5710e5a23584d2a519cc"
GITHUB = f"https://raw.githubusercontent.com/brendenlake/omniglot/{COMMIT}/python"
ARCHIVES = {
    "small1": "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    "small2": "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
}


@component("dataset", inputs="image", targets="class")
class Omniglot(Source):
    card = Card(
        name="omniglot_small",
        shape=(1, 20, 20),
        classes=tuple(str(number) for number in range(SEEN + UNSEEN)),
        rows={"train": SEEN * DRAWINGS, "test": UNSEEN * DRAWINGS},
        source="https://github.com/brendenlake/omniglot",
        licence="MIT",
        files={"train": "*small1.*", "test": "*small2.*"},
        columns={"input": "image", "target": "label"},
        balanced=True,
        originals={
            f"images_background_{part}.zip": Original(f"{GITHUB}/images_background_{part}.zip", sha)
            for part, sha in ARCHIVES.items()
        },
        unpack=originals.keep,
    )

    def __init__(
        self,
        root: Path | None = None,
        *,
        size: Count = 20,
        validation: Whole = 0,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.card = replace(self.card, shape=(1, size, size))

    def load(self) -> Dataset:
        import numpy as np
        import torch

        from ppr.data.dataset import Split, assemble

        if self.validation >= SEEN:
            what = f"must be less than the {SEEN} characters to train on"
            raise BadRequest(f"dataset.validation={self.validation}: {what}")
        stream = np.random.SeedSequence((self.split_seed, SEEN))
        chance = np.random.RandomState(np.random.MT19937(stream)).permutation(SEEN)
        parts = self.arrays()

        def take(part: str, chosen: np.ndarray | None = None) -> Split:
            images, targets = parts[part]
            rows = slice(None) if chosen is None else np.isin(targets, chosen)
            return Split(torch.from_numpy(images[rows]), torch.from_numpy(targets[rows]))

        train = take("train", chance[self.validation :])
        held = take("train", chance[: self.validation]) if self.validation else None
        return assemble(self.card, train, held, take("test"))

    def arrays(self) -> Mapping[str, Examples]:
        from ppr.data.cache import cached, fingerprint

        place = hub.locate(self.card, self.root)
        files = {split: paths[0] for split, paths in place.files.items()}

        def make() -> dict[str, np.ndarray]:
            named = {}
            for split, file in files.items():
                named[f"{split}.images"], named[f"{split}.targets"] = self._read(split, file)
            return named

        flat = cached(self.card.name, [fingerprint(files.values()), self.card.shape], make)
        return {split: (flat[f"{split}.images"], flat[f"{split}.targets"]) for split in files}

    def _read(self, split: str, file: Path) -> Examples:
        import numpy as np
        from PIL import Image

        from ppr.data.decode import open_image

        _, height, width = self.card.shape
        images, names = [], []
        for where, alphabet, character, encoded in _drawings(file):
            if split == "train" or alphabet not in SHARED:
                picture = open_image(encoded, 1, where)
                pooled = picture.resize((width, height), Image.Resampling.BOX)
                images.append(255 - np.asarray(pooled))
                names.append((alphabet, character))
        characters = sorted(set(names))
        first = 0 if split == "train" else SEEN
        number = {name: first + place for place, name in enumerate(characters)}
        if len(images) != self.card.rows[split]:
            what = f"{len(images)} drawings where {self.card.rows[split]} are published"
            raise RunFailed(f"{file}: {what}")
        return np.stack(images)[:, None], np.array([number[name] for name in names])


def _drawings(file: Path) -> Iterator[tuple[str, str, str, Any]]:
    """Where it is, alphabet, character and encoded image of each drawing of a set."""
    if file.suffix == ".parquet":
        table = read_parquet(file, ["image", "alphabet", "label"])
        for row, cells in enumerate(table.to_pylist()):
            label = f"{cells['label']:04}"
            yield f"{file}: row {row}", cells["alphabet"], label, cells["image"]
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for name in sorted(archive.namelist()):
                if found := re.search(r"([^/]+)/(character\d+)/[^/]+\.png$", name):
                    yield f"{file}: {name}", found[1], found[2], archive.read(name)
    except zipfile.BadZipFile as error:
        raise RunFailed(f"{file}: {error}") from None
