"""Columns of class numbers and of encoded images, as arrays and pictures."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.errors import RunFailed

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image


def label_column(table: Any, column: str, classes: int, file: Path) -> np.ndarray:
    """A column of class numbers, int64 [N], checked to be whole and in range."""
    import numpy as np

    labels = table[column]
    if labels.null_count == 0:
        numbers: np.ndarray = labels.to_numpy()
        if numbers.dtype.kind in "iu" and numbers.min() >= 0 and numbers.max() < classes:
            return numbers.astype(np.int64)
    raise RunFailed(f"{file}: column {column!r} must hold class numbers from 0 to {classes - 1}")


def decode(column: Any, shape: tuple[int, ...], file: Path) -> np.ndarray:
    """Decode a column of encoded images to uint8 [N, C, H, W], on a pool of threads.

    Raises:
        RunFailed: the row of `file` that is no image, or one of another size.
    """
    import numpy as np

    channels, height, width = shape
    images = np.empty((len(column), channels, height, width), dtype=np.uint8)

    def fill(start: int, stop: int) -> None:
        for row, cell in enumerate(column.slice(start, stop - start).to_pylist(), start):
            picture = open_image(cell, channels, f"{file}: row {row}")
            if picture.size != (width, height):
                size = f"{picture.width} x {picture.height}"
                raise RunFailed(f"{file}: row {row} is {size} pixels, not {width} x {height}")
            pixels = np.asarray(picture).reshape(height, width, channels)
            images[row] = pixels.transpose(2, 0, 1)

    step = 1000
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        spans = range(0, len(column), step)
        list(pool.map(fill, spans, [min(start + step, len(column)) for start in spans]))
    return images


def open_image(cell: Any, channels: int, where: str) -> Image:
    """One cell of a `datasets` image column ({"bytes", "path"}) as a grey or RGB picture."""
    from PIL import Image, UnidentifiedImageError

    encoded = cell["bytes"] if isinstance(cell, dict) else cell
    if not isinstance(encoded, bytes):
        raise RunFailed(f"{where} holds no encoded image")
    try:
        return Image.open(io.BytesIO(encoded)).convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise RunFailed(f"{where} is no image that can be decoded: {error}") from None
