"""A split too big for memory: images read, decoded and resized where a batch is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ppr.data.decode import open_image
from ppr.errors import RunFailed

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

T = TypeVar("T")


class StreamSplit:
    """A map-style split over a `datasets` table on disk; made to be read in loader processes.

    `table` has the column `image`, `labels` the class number of each of its rows; `rows` picks and
    orders some of it (None: all).
    """

    def __init__(
        self,
        table: Any,
        image: str,
        labels: np.ndarray,
        *,
        size: int,
        where: Path,
        rows: np.ndarray | None = None,
    ) -> None:
        import torch
        from datasets import Image as ImageFeature

        self.targets: Tensor = torch.from_numpy(labels if rows is None else labels[rows])
        self.image, self.size, self.where, self.rows = image, size, where, rows
        self.table = table.cast_column(image, ImageFeature(decode=False)).select_columns([image])

    def __len__(self) -> int:
        return len(self.targets)

    def load(self, indices: Tensor | Iterable[int]) -> tuple[Tensor, Tensor]:
        """The images uint8 [B, 3, size, size] and targets int64 [B] of the given examples.

        Raises:
            RunFailed: a row holds no image that can be decoded.
        """
        import numpy as np
        import torch

        chosen = torch.as_tensor(indices)
        rows = chosen.numpy() if self.rows is None else self.rows[chosen.numpy()]
        images = np.empty((len(rows), 3, self.size, self.size), dtype=np.uint8)
        for place, (row, cell) in enumerate(zip(rows, self.table[rows][self.image], strict=True)):
            picture = open_image(cell, 3, f"{self.where}: row {row}")
            images[place] = np.asarray(square(picture, self.size)).transpose(2, 0, 1)
        return torch.from_numpy(images), self.targets[chosen]


def in_one_line(loader: Iterable[T]) -> Iterator[T]:
    """A loader's items; what fails in one of its processes is told without its traceback there."""
    try:
        yield from loader
    except RunFailed as error:
        told = str(error).strip().rsplit("\n", 1)[-1]
        raise RunFailed(told.removeprefix(f"{RunFailed.__module__}.RunFailed: ")) from None


def square(picture: Image, size: int) -> Image:
    """The largest centred square of a picture, resized to `size` x `size`.

    Nothing is cut but the ends of the longer side: scale and aspect are the augment's to vary.
    """
    from PIL.Image import Resampling

    side = min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Resampling.BILINEAR, box=box, reducing_gap=2)
