"""Splits that are streamed from disk: what is read, split, digested and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_toy import png, refused, write
from PIL import Image

import ppr
from ppr.data.dataset import Dataset
from ppr.data.stream import in_one_line, square
from ppr.errors import BadRequest, RunFailed


@pytest.fixture
def streamed(tmp_path: Path) -> Any:
    """A set of images of different sizes, each of one colour but for its left and right ends."""
    folder = tmp_path / "big" / "toy"
    for split, count in (("train", 12), ("validation", 5)):
        encoded = []
        for row in range(count):
            pixels = np.full((10 + row, 20 + row, 3), 10 * row, dtype=np.uint8)
            pixels[:, :2] = pixels[:, -2:] = 255
            encoded.append(png(pixels))
        labels = [row % 3 for row in range(count)]
        write(folder / f"data/{split}-00000-of-00001.parquet", encoded, labels, image="image")

    def load(**fields: Any) -> Dataset:
        data: Dataset = ppr.build(
            "dataset",
            "hub_images",
            tmp_path / "big",
            hub="somebody/toy",
            classes=3,
            size=8,
            **fields,
        ).load()
        return data

    return load


def test_stream_reads_resized_squares(streamed: Any) -> None:
    data = streamed()
    assert (len(data.train), len(data.test), data.shape) == (12, 5, (3, 8, 8))
    images, targets = data.train.load(torch.tensor([7, 0, 3]))
    assert images.dtype == torch.uint8
    assert images.shape == (3, 3, 8, 8)
    assert [image.unique().tolist() for image in images] == [[70], [0], [30]]
    assert targets.tolist() == [1, 0, 0]
    assert data.train.targets.tolist() == [row % 3 for row in range(12)]


def test_a_wrong_column_is_one_line_with_what_is_there(streamed: Any) -> None:
    with refused(BadRequest, "dataset.label=lable", "train-00000", "did you mean 'label'"):
        streamed(label="lable")
    with refused(BadRequest, "dataset.image=img", "image"):
        streamed(image="img")


def test_paths_in_place_of_images_are_told(tmp_path: Path, streamed: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": None, "path": f"{row}.png"} for row in range(4)]
    table = pa.table({"image": cells, "label": [0, 1, 2, 0]})
    pq.write_table(table, tmp_path / "big/toy/data/train-00000-of-00001.parquet")
    with refused(RunFailed, "'image' holds paths and no images", "embed_table_storage"):
        streamed()


def test_what_fails_in_a_loader_process_is_one_line() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise RunFailed("Caught RunFailed in worker 0.\nTraceback …\nppr.errors.RunFailed: row 3")

    found = in_one_line(broken())
    assert next(found) == 1
    with pytest.raises(RunFailed, match=r"^row 3$"):
        next(found)


def test_stream_splits_and_digest(streamed: Any) -> None:
    data = streamed(validation=3, limit=6, split_seed=2)
    values = {
        name: {int(image.max()) for image in part.load(range(len(part)))[0]}
        for name, part in (("train", data.train), ("validation", data.validation))
    }
    assert {name: len(found) for name, found in values.items()} == {"train": 6, "validation": 3}
    assert not values["train"] & values["validation"]
    assert data.train.targets.bincount().tolist() == [2, 2, 2]
    assert data.digest == streamed(validation=3, limit=6, split_seed=2).digest
    assert data.digest != streamed(validation=3, limit=6, split_seed=3).digest


class Batches(torch.utils.data.Dataset):
    def __init__(self, split: Any) -> None:
        self.split = split

    def __len__(self) -> int:
        return 3

    def __getitem__(self, step: int) -> Any:
        return self.split.load(torch.arange(4) + 4 * step)


def test_stream_is_read_by_a_loader_process(streamed: Any) -> None:
    split = streamed().train
    loader = torch.utils.data.DataLoader(Batches(split), batch_size=None, num_workers=1)
    images, targets = (torch.cat(parts) for parts in zip(*loader, strict=True))
    whole = split.load(range(12))
    assert torch.equal(images, whole[0])
    assert torch.equal(targets, whole[1])


@pytest.mark.parametrize("size", [(7, 7), (30, 7), (7, 30), (1, 1), (500, 400)])
def test_square_keeps_the_middle(size: tuple[int, int]) -> None:
    ramp = np.tile(np.arange(size[0], dtype=np.uint8), (size[1], 1))
    made = np.asarray(square(Image.fromarray(ramp), 5)).astype(float)
    assert made.shape == (5, 5)
    if max(size) < 256:  # the ramp does not wrap round
        assert made.mean() == pytest.approx((size[0] - 1) / 2, abs=0.6)


def test_stream_refuses_a_torn_file(streamed: Any, tmp_path: Path) -> None:
    file = tmp_path / "big/toy/data/train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-10])
    with refused(RunFailed, file.parent, file.name):
        streamed()
