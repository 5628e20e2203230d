"""A user's own images, in class folders and in Parquet files: what is found, split and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from data_toy import CLASSES, pictures, png, refused
from PIL import Image

import ppr
from ppr.cli.data import command
from ppr.config.compose import compose
from ppr.data.dataset import Dataset
from ppr.errors import BadRequest, RunFailed

COLOURS = {"cat": (200, 0, 0), "dog": (0, 200, 0), "owl": (0, 0, 200)}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PPR_DATA", raising=False)
    monkeypatch.setenv("PPR_CACHE", str(tmp_path / ".cache"))


def fill(folder: Path, count: int = 10, size: tuple[int, int] = (20, 12)) -> Path:
    """Class folders of images of one colour a class, each a little wider than the one before."""
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for row in range(count):
            picture = Image.new("RGB", (size[0] + row, size[1]), colour)
            picture.save(folder / name / f"{row}.png")
    return folder


def load(name: str, root: Path | None, **fields: Any) -> Dataset:
    data: Dataset = ppr.build("dataset", name, root, **fields).load()
    return data


def test_class_folders_are_found_and_split_by_class(tmp_path: Path) -> None:
    data = load("folder", fill(tmp_path / "mine"), size=8)
    assert (data.name, data.classes, data.shape) == ("mine", CLASSES, (3, 8, 8))
    sizes = [len(part) for part in (data.train, data.validation, data.test) if part is not None]
    assert sizes == [19, 5, 6]  # of 30: a fifth for the test, a fifth of what is left
    for part in (data.train, data.validation, data.test):
        for pixels, target in zip(part.inputs, part.targets, strict=True):  # type: ignore[union-attr]
            assert tuple(pixels[:, 3, 3].tolist()) == COLOURS[CLASSES[target]]
    assert data.test.targets.bincount().tolist() == [2, 2, 2]


def test_counts_and_shares_are_both_taken(tmp_path: Path) -> None:
    data = load("folder", fill(tmp_path), size=4, test=3, validation=0)
    assert (len(data.train), data.validation, len(data.test)) == (27, None, 3)
    with refused(BadRequest, "dataset.validation=300", "24 training images", "=0.2"):
        load("folder", tmp_path, validation=300)


@pytest.mark.parametrize("other", ["test", "val"])
def test_split_folders_are_the_splits(tmp_path: Path, other: str) -> None:
    fill(tmp_path / "train", 6)
    fill(tmp_path / other, 2)
    data = load("folder", tmp_path, size=4, validation=0)
    assert (len(data.train), data.validation, len(data.test)) == (18, None, 6)


def test_three_split_folders_hold_nothing_out(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("valid", 3), ("test", 2)):
        fill(tmp_path / part, count)
    data = load("folder", tmp_path, size=4)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 9, 6)


def test_images_of_one_size_keep_it_and_grey_ones_one_channel(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for row in range(3):
            Image.new("L", (9, 9), 50 * row).save(tmp_path / name / f"{row}.png")
    assert load("folder", tmp_path, test=2).shape == (1, 9, 9)
    Image.new("L", (9, 30)).save(tmp_path / "a" / "tall.png")
    assert load("folder", tmp_path, test=2).shape == (1, 64, 64)


def test_other_images_are_another_run_wherever_they_lie(tmp_path: Path) -> None:
    def variant(root: Path) -> str:
        return compose(["experiment=ce_digits", "dataset=folder", f"data.root={root}"]).variant

    one, same = fill(tmp_path / "one"), fill(tmp_path / "elsewhere" / "same")
    assert variant(one) == variant(same)
    Image.new("RGB", (20, 12), (9, 9, 9)).save(same / "cat" / "0.png")
    assert variant(one) != variant(same)


def test_a_recorded_config_refuses_other_images(tmp_path: Path) -> None:
    fill(tmp_path)
    with refused(BadRequest, "dataset.contents=0123", "other images today"):
        load("folder", tmp_path, contents="0123")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "fox").mkdir(), ["fox", "a class folder without images"]),
        (lambda f: (f / "x.png").write_bytes(b""), ["x.png", "of no class"]),
        (lambda f: (f / "cat" / "x.png").write_bytes(b""), ["x.png", "an empty file"]),
        (lambda f: (f / "cat" / "x.jpg").write_bytes(b"GIF, not"), ["x.jpg", "no image"]),
        (lambda f: (f / "train").mkdir(), ["train", "cat", "either"]),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(tmp_path: Path, spoil: Any, words: Any) -> None:
    spoil(fill(tmp_path))
    with refused((BadRequest, RunFailed), *words):  # type: ignore[arg-type]
        load("folder", tmp_path)


def test_a_torn_image_is_told_by_its_file(tmp_path: Path) -> None:
    noise = pictures(1, 0, (40, 40))[0]
    fill(tmp_path)
    (tmp_path / "cat" / "torn.png").write_bytes(png(noise)[:900])
    with refused(RunFailed, "torn.png", "no whole image"):
        load("folder", tmp_path)


def test_no_folder_and_no_images_are_one_line(tmp_path: Path) -> None:
    words = ["experiment=ce_digits", "dataset=folder"]
    with refused(BadRequest, "data.root", "which folder"):
        compose(words)
    with refused(BadRequest, "no such folder"):
        compose([*words, f"data.root={tmp_path / 'nowhere'}"])
    with refused(BadRequest, "no class folders"):
        compose([*words, f"data.root={tmp_path}"])
    (tmp_path / "only").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "only" / "0.png")
    with refused(BadRequest, "one class alone, only"):
        load("folder", tmp_path)


def parquet(file: Path, labels: list[Any], *, image: str = "img", label: str = "kind") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    encoded = [png(pixels) for pixels in pictures(len(labels), 1)]
    pq.write_table(pa.table({"id": range(len(labels)), image: encoded, label: labels}), file)


def test_words_in_a_parquet_file_are_classes(tmp_path: Path) -> None:
    parquet(tmp_path / "all.parquet", [*"yxzyx" * 4], label="label")
    data = load("parquet", tmp_path, size=4, validation=0)
    assert (data.classes, len(data.train), len(data.test)) == (("x", "y", "z"), 16, 4)
    everything = np.concatenate([data.train.targets, data.test.targets])
    assert np.bincount(everything).tolist() == [8, 8, 4]


def test_parquet_numbers_keep_their_order_and_files_their_splits(tmp_path: Path) -> None:
    parquet(tmp_path / "data" / "train-0.parquet", [10, 9, 2, 10])
    parquet(tmp_path / "data" / "test-0.parquet", [2, 9])
    data = load("parquet", tmp_path, size=4, label="kind", validation=0)
    assert data.classes == ("2", "9", "10")
    assert data.train.targets.tolist() == [2, 1, 0, 2]
    assert data.test.targets.tolist() == [0, 1]


def test_class_names_are_those_that_the_file_says(tmp_path: Path) -> None:
    features = {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}}
    said = json.dumps({"info": {"features": features}})
    encoded = [png(pixels) for pixels in pictures(4, 1)]
    table = pa.table({"other": ["a"] * 4, "label": [0, 1, 1, 0], "image": encoded})
    pq.write_table(table.replace_schema_metadata({"huggingface": said}), tmp_path / "a.parquet")
    data = load("parquet", tmp_path, size=4, test=2, validation=0)
    assert data.classes == ("dog", "cat")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"label": "kidn"}, ["dataset.label=kidn", "did you mean 'kind'"]),
        ({"image": "pixels"}, ["dataset.image=pixels", "img"]),
        ({}, ["dataset.label: which column", "id, kind could be it"]),
    ],
)
def test_columns_that_cannot_be_told_are_one_line(tmp_path: Path, fields: Any, words: Any) -> None:
    parquet(tmp_path / "a.parquet", ["x", "y"])
    with refused(BadRequest, *words):
        load("parquet", tmp_path, **fields)


def test_a_row_without_a_class_or_an_image_is_named(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", ["x", None, "y"])
    with refused(RunFailed, "a.parquet: row 1 has no class"):
        load("parquet", tmp_path, label="kind")
    cells = [{"bytes": None, "path": "0.png"}, {"bytes": None, "path": "1.png"}]
    pq.write_table(pa.table({"img": cells, "label": ["x", "y"]}), tmp_path / "a.parquet")
    with refused(RunFailed, "a path and no image", "embed_table_storage"):
        load("parquet", tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 torn")
    with refused(RunFailed, "a.parquet: not a whole Parquet file"):
        load("parquet", tmp_path)


def test_data_check_works_on_them(tmp_path: Path) -> None:
    fill(tmp_path)
    shown = CliRunner().invoke(command, ["check", "folder", "--root", str(tmp_path), "--json"])
    (found,) = [item for item in json.loads(shown.output) if item["check"] == "splits"]
    assert found["result"] == "ok"
    assert found["detail"] == "19 train, 5 validation, 6 test"
