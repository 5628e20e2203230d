"""A user's own labelled images: found in a folder, decoded once to squares of one size.

Where the folder has no part for the test, `test` of the training part is held out for it, by class,
with `split_seed`; `validation` is of what is left. Both are counts, or shares below 1.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub
from ppr.data.card import Card
from ppr.data.source import Source
from ppr.errors import BadRequest, RunFailed
from ppr.fields import BelowOne, Count, Whole

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset, Split

SIDE = 64
"""Of the squares that images of different sizes, or of one that is larger, become by default."""
LARGEST = 96
"""Images that are all of one size up to this keep it."""
RESIDENT = 4 * 2**30
"""Bytes of decoded images that are still held in memory."""
PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""What the published splits are called."""


@dataclass(frozen=True)
class Pictures:
    """One split as it lies there: encoded images, read by number, and the class name of each."""

    read: Any
    """Number -> the encoded bytes, and where they are, for an error."""
    labels: Sequence[str]


class OwnImages(Source):
    """`size` is the side of the squares; unset, the images' own where all have one of up to 96.

    `contents` is a digest of the files, found when the config is composed: other images are another
    run, wherever the folder lies.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        size: Count | None = None,
        test: Whole | BelowOne = 0.2,
        validation: Whole | BelowOne = 0.2,
        contents: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.size, self.test, self.contents = size, test, contents
        self.share = validation
        self.validation = 1 if validation else 0  # how many is known with the images

    @abstractmethod
    def files(self) -> Mapping[str, Sequence[Path]]:
        """Every file of each split that is there, "train" always.

        Raises:
            BadRequest: the folder is not as it must be; says what is there.
        """

    @abstractmethod
    def pictures(self) -> Mapping[str, Pictures]:
        """The images of each split."""

    def in_order(self, labels: set[str]) -> tuple[str, ...]:
        """The classes, as they are numbered."""
        return tuple(sorted(labels))

    @property
    def folder(self) -> Path:
        """
        Raises:
            BadRequest: data.root does not name a folder.
        """
        where = self.root
        if where is None:
            raise BadRequest("data.root: which folder holds the images? data.root=my_images")
        if not where.is_dir():
            raise BadRequest(f"data.root={where}: no such folder")
        return where

    def find(self) -> hub.Place:
        files = {split: list(files) for split, files in self.files().items()}
        return hub.Place("folder", self.folder, files)

    def digest(self) -> str:
        """SHA-256 over each file's place in the folder and its bytes, shortened to 16 digits.

        Read once: a file of the same size and time of change has the same bytes.
        """
        import numpy as np

        from ppr.data.cache import cached, fingerprint

        files = sorted({file for part in self.files().values() for file in part})

        def make() -> dict[str, np.ndarray]:
            seen = hashlib.sha256()
            for file in files:
                seen.update(f"{file.relative_to(self.folder)} {hub.sha256(file)}\n".encode())
            return {"sha256": np.frombuffer(seen.digest(), dtype=np.uint8)}

        found = cached(f"{self.folder.resolve().name}-digest", fingerprint(files), make)
        return bytes(found["sha256"]).hex()[:16]

    @cached_property
    def card(self) -> Card:  # type: ignore[override]  # every other source knows it beforehand
        shown = self.pictures()
        classes = self.in_order({label for part in shown.values() for label in part.labels})
        if len(classes) < 2:
            raise BadRequest(
                f"{self.folder}: one class alone, {', '.join(classes)}; two are needed"
            )
        channels, side = self._form(shown)
        return Card(
            name=self.folder.resolve().name,
            shape=(channels, side, side),
            classes=classes,
            rows={split: len(part.labels) for split, part in shown.items()},
            source=str(self.folder),
            licence="the user's own",
        )

    def _form(self, shown: Mapping[str, Pictures]) -> tuple[int, int]:
        """Channels, one where all images are grey, and the side of the squares."""
        import numpy as np

        from ppr.data.cache import cached, fingerprint

        files = [file for part in self.files().values() for file in part]

        def make() -> dict[str, np.ndarray]:
            forms = {
                _form(*part.read(row)) for part in shown.values() for row in range(len(part.labels))
            }
            return {"forms": np.array(sorted(forms))}

        forms = cached(f"{self.folder.resolve().name}-forms", fingerprint(files), make)["forms"]
        (width, height), same = forms[0, 1:], len({tuple(form[1:]) for form in forms}) == 1
        side = int(width) if same and width == height <= LARGEST else SIDE
        return (3 if forms[:, 0].any() else 1), self.size or side

    def arrays(self) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        """uint8 [N, C, S, S] and int64 [N] of each split, from the cache where it has them.

        Raises:
            BadRequest: they would not fit in memory.
            RunFailed: a file is no image.
        """
        import numpy as np

        from ppr.data.cache import cached, fingerprint

        shape, rows = self.card.shape, sum(self.card.rows.values())
        if rows * np.prod(shape) > RESIDENT:
            raise BadRequest(
                f"dataset.size={shape[1]}: {rows:,} images of it are more than the "
                f"{RESIDENT >> 30} GB that are held in memory; make them smaller, or Parquet files "
                "of them for dataset=hub_images, which streams"
            )
        files = [file for part in self.files().values() for file in part]
        number = {name: index for index, name in enumerate(self.card.classes)}

        def make() -> dict[str, np.ndarray]:
            made: dict[str, np.ndarray] = {}
            for split, part in self.pictures().items():
                made[f"{split}.images"] = _squares(part, shape)
                made[f"{split}.targets"] = np.array([number[label] for label in part.labels])
            return made

        flat = cached(self.card.name, [fingerprint(files), shape], make)
        return {
            split: (flat[f"{split}.images"], flat[f"{split}.targets"]) for split in self.card.rows
        }

    def load(self) -> Dataset:
        import torch

        from ppr.data.dataset import Split, assemble
        from ppr.data.splits import hold_out

        if self.contents is not None and self.contents != self.digest():
            raise BadRequest(
                f"dataset.contents={self.contents}: {self.folder} has other images today; without "
                "it, they are found, and are another run"
            )
        arrays = dict(self.arrays())

        def part(split: str, rows: np.ndarray | None = None) -> Split:
            images, targets = arrays[split]
            if rows is not None:
                images, targets = images[rows], targets[rows]
            return Split(torch.from_numpy(images), torch.from_numpy(targets))

        tested, aside = self._aside(arrays)
        if tested:
            images, targets = arrays["train"]
            rest, out = hold_out(targets, tested, (self.split_seed, 5))
            arrays["test"] = images[out], targets[out]
            arrays["train"] = images[rest], targets[rest]
        targets, published = arrays["train"][1], "validation" in arrays
        self.validation = aside
        kept, held = self.split(targets)
        validation = part("validation") if published else None
        if held is not None:
            validation = part("train", held)
        return assemble(self.card, part("train", kept), validation, part("test"))

    def left(self) -> int:
        """How many of the training images are held out neither for the test nor for validation."""
        return self.card.rows["train"] - sum(self._aside(self.card.rows))

    def _aside(self, parts: Container[str]) -> tuple[int, int]:
        """Of the training images how many go to the test and to validation, as far as they must."""
        rows = self.card.rows["train"]
        tested = 0 if "test" in parts else self._count("test", self.test, rows)
        if "test" not in parts and not tested:
            raise BadRequest(f"dataset.test={self.test}: {self.folder} has no test part")
        share = 0 if "validation" in parts else self.share
        return tested, self._count("validation", share, rows - tested)

    def _count(self, field: str, asked: float, rows: int) -> int:
        count = asked if isinstance(asked, int) else round(asked * rows)
        if count >= rows:
            raise BadRequest(
                f"dataset.{field}={asked}: must be less than the {rows} training images of "
                f"{self.folder}; a share of them is below 1, as dataset.{field}=0.2"
            )
        return int(count)


def part_of(name: str) -> str | None:
    """The split that a folder or file is named after: "val" is "validation"."""
    return next((part for part, names in PARTS.items() if name.lower() in names), None)


def splits_of(found: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """With what is a test split: a validation part alone is taken for it, as of ImageNet."""
    if "train" not in found:
        there = ", ".join(sorted(found))
        raise BadRequest(f"{where}: a part for {there} and none for training (train)")
    named = dict(found)
    if "test" not in named and "validation" in named:
        named["test"] = named.pop("validation")
    return named


def _form(encoded: bytes, where: str) -> tuple[int, int, int]:
    """Whether an image has colours, its width and its height, from its first bytes."""
    picture = _opened(encoded, where)
    return int(picture.mode not in ("1", "L", "LA", "I;16")), *picture.size


def _opened(encoded: bytes, where: str) -> Any:
    import io

    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(encoded))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        what = "an empty file" if not encoded else "no image that can be read"
        raise RunFailed(f"{where}: {what}") from error


def _squares(part: Pictures, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    from ppr.data.stream import square

    channels, side, _ = shape
    images = np.empty((len(part.labels), channels, side, side), dtype=np.uint8)

    def fill(rows: Iterable[int]) -> None:
        for row in rows:
            encoded, where = part.read(row)
            picture = _opened(encoded, where)
            try:
                picture = picture.convert("L" if channels == 1 else "RGB")
            except (OSError, SyntaxError, ValueError) as error:
                raise RunFailed(f"{where}: no whole image: {error}") from None
            pixels = np.asarray(square(picture, side)).reshape(side, side, channels)
            images[row] = pixels.transpose(2, 0, 1)

    step = 500
    spans = [range(at, min(at + step, len(images))) for at in range(0, len(images), step)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(fill, spans))
    return images
