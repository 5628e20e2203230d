"""A tiny image data set in the hub's Parquet layout, and a component that reads it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ppr.data.card import Card
from ppr.data.dataset import Dataset
from ppr.data.images import ImageSource
from ppr.errors import PprError

CLASSES = ("cat", "dog", "owl")
ROWS = {"train": 30, "test": 9}


class Toy(ImageSource):
    card = Card(
        name="toy",
        shape=(3, 4, 6),
        classes=CLASSES,
        rows=ROWS,
        source="made by the test",
        licence="none",
        hub="somebody/toy",
        files={"train": "plain/train-*.parquet", "test": "plain/test-*.parquet"},
        columns={"input": "img", "target": "label"},
        balanced=True,
    )


def pictures(count: int, seed: int, size: tuple[int, int] = (6, 4)) -> np.ndarray:
    """uint8 [count, H, W, 3]; `size` is (width, height)."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, size[1], size[0], 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write(file: Path, encoded: list[bytes | None], labels: list[int], image: str = "img") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": cell, "path": None} for cell in encoded]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns = {image: pa.array(cells, kind), "label": pa.array(labels, pa.int64())}
    pq.write_table(pa.table(columns), file)


def write_toy(folder: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """Write the toy set, its training split in two files; returns each split's pixels."""
    made = {split: pictures(count, seed) for split, count in ROWS.items()}
    for split, images in made.items():
        shards = 2 if split == "train" else 1
        for shard, part in enumerate(np.array_split(images, shards)):
            labels = [row % len(CLASSES) for row in range(len(part))]
            name = f"plain/{split}-{shard:05}-of-{shards:05}.parquet"
            write(folder / name, [png(pixels) for pixels in part], labels)
    return made


def same(a: Dataset, b: Dataset) -> bool:
    return a.digest == b.digest and torch.equal(a.train.targets, b.train.targets)


def refused(kind: type[PprError], *words: object) -> Any:
    """The error is one line with all these words in it."""

    def fits(error: BaseException) -> bool:
        text = str(error)
        return "\n" not in text and all(str(word) in text for word in words)

    return pytest.raises(kind, check=fits)


def own_images(folder: Path) -> Path:
    """Three classes of ten small images: in class folders, and once more in a Parquet file."""
    encoded, labels = [], []
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for row, pixels in enumerate(pictures(10, number)):
            (folder / name / f"{row}.png").write_bytes(png(pixels))
            encoded.append(png(pixels))
            labels.append(number)
    write(folder / "own.parquet", encoded, labels)
    return folder
