"""Data sets: where they are found, how they are read, split, limited and digested."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from data_toy import CLASSES, Toy, own_images, pictures, png, refused, same, write, write_toy
from hypothesis import given, settings
from hypothesis import strategies as st

import ppr
from ppr import registry
from ppr.config.check import check_fields
from ppr.config.places import shipped_configs
from ppr.data.card import Card
from ppr.data.dataset import Split, channel_statistics, digest
from ppr.data.source import ArraySource
from ppr.data.splits import balanced, hold_out
from ppr.errors import BadRequest, PprError, RunFailed

EXTRA = {
    "hub_images": {"hub": "somebody/toy", "classes": 3, "size": 8},
    "hub_texts": {"hub": "somebody/toy", "classes": 3},
}
"""Fields that a component cannot do without."""

NAMES = list(registry.names("dataset"))


# --- components


def where(name: str, folder: Path) -> Path | None:
    """The folder of the component's data, where it describes what lies there."""
    finds = "finds" in registry.describe("dataset", name).declared
    return own_images(folder / "own") if finds else None


@pytest.mark.parametrize("name", NAMES)
def test_component_describes_itself_and_makes_synthetic_data(name: str, tmp_path: Path) -> None:
    holds_out = "validation" in registry.describe("dataset", name).fields
    fields = {**({"validation": 5} if holds_out else {}), **EXTRA.get(name, {})}
    root = where(name, tmp_path)
    source = ppr.build("dataset", name, root, **fields)
    card = source.card
    data = source.synthetic(12)
    images = len(card.shape) == 3
    assert data.shape == card.shape
    assert data.classes == card.classes
    for split in filter(None, (data.train, data.validation, data.test)):
        assert len(split) % 12 == 0  # as many for each task of a stream
        assert split.inputs.shape[1:] == card.shape
        assert (split.inputs.dtype == torch.uint8) == images
        if not split.targets.is_floating_point():
            assert split.targets.dtype == torch.int64
            assert split.targets.max() < max(1, len(card.classes))
    assert len(data.mean) == len(data.std)
    assert len(data.mean) in ((card.shape[0],) if images else (0, card.shape[0]))
    if images and data.train.targets.dim() == 1:
        assert len(data.train.targets.unique()) == min(12, len(card.classes))
    assert data.digest == source.synthetic(12).digest != source.synthetic(12, seed=1).digest
    if holds_out:
        unheld = ppr.build("dataset", name, root, **{**fields, "validation": 0})
        assert unheld.synthetic(3).validation is None


@pytest.mark.parametrize("file", sorted((shipped_configs() / "dataset").rglob("*.yaml")))
def test_shipped_configs_name_known_fields(file: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    name = values.pop("name")
    check_fields(registry.describe("dataset", name), values, "dataset")
    assert ppr.build("dataset", name, where(name, tmp_path), **values).card.shape


def test_coarse_labels_change_the_card() -> None:
    card = ppr.build("dataset", "cifar100", None, labels="coarse").card
    assert len(card.classes) == 20
    assert card.columns["target"] == "coarse_label"


def test_listing_imports_neither_torch_nor_datasets() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from ppr.cli.data import command;"
        "r = CliRunner().invoke(command, ['list']); assert r.exit_code == 0, r;"
        "print({'torch', 'datasets', 'numpy', 'sklearn', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- digits


def test_digits_are_sklearns() -> None:
    from sklearn.datasets import load_digits

    data = ppr.build("dataset", "digits", None).load()
    assert isinstance(data.validation, Split)
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [1000, 297, 500]
    pixels = torch.cat([part.inputs for part in parts]).reshape(-1, 64).numpy()
    theirs = np.rint(load_digits().data / 16 * 255).astype(np.uint8)
    assert sorted(map(bytes, pixels)) == sorted(map(bytes, theirs))
    share = torch.stack([part.targets.bincount() / len(part) for part in parts])
    assert (share - share.mean(0)).abs().max() < 2 / 297
    images = data.train.inputs.double() / 255
    assert data.mean[0] == pytest.approx(images.mean().item())
    assert data.std[0] == pytest.approx(images.std(correction=0).item())


def test_digits_follow_the_split_seed() -> None:
    load = lambda seed: ppr.build("dataset", "digits", None, split_seed=seed).load()  # noqa: E731
    assert same(load(3), load(3))
    assert load(3).digest != load(4).digest


@pytest.mark.parametrize(("field", "value"), [("test", 1797), ("validation", 1297)])
def test_digits_refuse_to_leave_nothing_to_train_on(field: str, value: int) -> None:
    with refused(BadRequest, f"dataset.{field}={value}", "must be less than"):
        ppr.build("dataset", "digits", None, **{field: value}).load()


# --- splits

targets_of_any_kind = st.lists(st.integers(0, 5), min_size=2, max_size=80).map(np.array)


@settings(max_examples=60, deadline=None, database=None)
@given(targets=targets_of_any_kind, seed=st.integers(0, 2**40), data=st.data())
def test_hold_out_is_a_stratified_partition(targets: Any, seed: int, data: Any) -> None:
    count = data.draw(st.integers(1, len(targets) - 1))
    kept, held = hold_out(targets, count, seed)
    assert len(held) == count
    assert sorted([*kept, *held]) == list(range(len(targets)))
    again = hold_out(targets, count, seed)
    assert np.array_equal(kept, again[0])
    assert np.array_equal(held, again[1])
    for label in set(targets):
        share = count * (targets == label).sum() / len(targets)
        assert abs((targets[held] == label).sum() - share) < 1


@settings(max_examples=60, deadline=None, database=None)
@given(targets=targets_of_any_kind, seed=st.integers(0, 2**40), count=st.integers(1, 90))
def test_limit_is_balanced_and_nested(targets: Any, seed: int, count: int) -> None:
    chosen = balanced(targets, count, seed)
    assert len(set(chosen)) == min(count, len(targets))
    assert set(chosen) <= set(balanced(targets, count + 1, seed))
    sizes = np.bincount(targets)
    taken = np.bincount(targets[chosen], minlength=len(sizes))
    # a class has fewer than another by more than one only when it has no more to give
    for label in np.flatnonzero(sizes):
        assert taken[label] == sizes[label] or taken[label] >= taken.max() - 1


def test_split_and_limit_of_a_source(root: Path) -> None:
    data = Toy(root, validation=6, limit=12, split_seed=1).load()
    assert isinstance(data.validation, Split)
    assert data.train.targets.bincount().tolist() == [4, 4, 4]
    assert data.validation.targets.bincount().tolist() == [2, 2, 2]
    rows = {bytes(image.numpy()) for part in (data.train, data.validation) for image in part.inputs}
    assert len(rows) == 18
    assert len(Toy(root, limit=1000).load().train) == 30


# --- digest and statistics


def test_digest_sees_every_part() -> None:
    inputs, targets = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2), torch.tensor([0, 1])
    base = {"train": Split(inputs, targets), "validation": None}
    others = [
        {"test": Split(inputs, targets)},
        {"train": Split(inputs + 1, targets)},
        {"train": Split(inputs, targets + 1)},
        {"train": Split(inputs.view(2, 3, 4, 1), targets)},
        {"train": Split(inputs, targets.int())},
        {"train": Split(inputs, targets), "validation": Split(inputs[:1], targets[:1])},
    ]
    assert len({digest(base), *(digest(other) for other in others)}) == 1 + len(others)
    assert digest(base) == digest({"train": Split(inputs.clone(), targets)})
    # as another program would write it
    expected = hashlib.sha256(
        b"train torch.uint8 (2, 3, 2, 2)\n"
        + bytes(range(24))
        + b"train torch.int64 (2,)\n"
        + np.array([0, 1]).tobytes()
    )
    assert digest(base) == expected.hexdigest()


def test_channel_statistics_are_exact() -> None:
    images = torch.from_numpy(pictures(7, 0)).permute(0, 3, 1, 2)
    mean, std = channel_statistics(images)
    for channel in range(3):
        values = images[:, channel].double() / 255
        assert mean[channel] == pytest.approx(values.mean().item(), abs=1e-14)
        assert std[channel] == pytest.approx(values.std(correction=0).item(), abs=1e-14)


class Table(ArraySource):
    """What a tabular set amounts to."""

    card = Card("table", (4,), ("no", "yes"), {"train": 20, "test": 6}, "the test", "none")

    def read(self) -> Any:
        rows = np.arange(104, dtype=np.float32).reshape(26, 4)
        labels = np.arange(26) % 2
        return {"train": (rows[:20], labels[:20]), "test": (rows[20:], labels[20:])}


def test_a_source_need_not_hold_images() -> None:
    data = Table(None, validation=4).load()
    assert data.train.inputs.dtype == torch.float32
    assert (len(data.train), len(data.validation or ()), len(data.test)) == (16, 4, 6)
    assert (data.shape, data.mean, data.std) == ((4,), (), ())
    fake = Table().synthetic(7)
    assert (fake.train.inputs.dtype, fake.train.inputs.shape) == (torch.float32, (7, 4))


# --- reading


@pytest.mark.parametrize("folder", ["toy", "somebody/toy"])
@pytest.mark.parametrize("named", ["argument", "environment"])
def test_mirror(folder: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_toy(tmp_path / "mirror" / folder)
    monkeypatch.setenv("PPR_DATA", str(tmp_path / "mirror"))
    root = tmp_path / "mirror" if named == "argument" else None
    data = Toy(root).load()
    for split, part in (("train", data.train), ("test", data.test)):
        assert np.array_equal(part.inputs.permute(0, 2, 3, 1).numpy(), made[split])
    assert data.train.targets.tolist() == [row % 3 for row in range(15)] * 2
    assert data.validation is None
    assert (data.name, data.shape, data.classes) == ("toy", (3, 4, 6), CLASSES)
    reference = made["train"].reshape(-1, 3) / 255
    assert data.mean == pytest.approx(reference.mean(0))
    assert data.std == pytest.approx(reference.std(0))


def in_hub_cache(tmp_path: Path) -> Path:
    repo = tmp_path / "hub" / "datasets--somebody--toy"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    write_toy(repo / "snapshots" / "abc", seed=1)
    return repo / "snapshots" / "abc"


def test_argument_comes_before_environment_before_hub_cache(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toy(tmp_path / "other" / "toy", seed=2)
    cached = in_hub_cache(tmp_path)
    monkeypatch.setenv("PPR_DATA", str(tmp_path / "other"))
    assert str(Toy(root).find()) == f"mirror {root / 'toy'}"
    assert str(Toy().find()) == f"mirror {tmp_path / 'other' / 'toy'}"
    monkeypatch.delenv("PPR_DATA")
    assert str(Toy().find()) == f"cache {cached}"
    (tmp_path / "empty").mkdir()
    assert str(Toy(tmp_path / "empty").find()) == f"cache {cached}"
    assert len({Toy(root).load().digest, Toy().load().digest}) == 2


def test_absent_data_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    words = ("ppr data fetch toy", "PPR_DATA", "somebody/toy", tmp_path / "hub")
    with refused(BadRequest, *words):
        Toy().load()
    with refused(BadRequest, *words, tmp_path, "toy/plain/train-*.parquet"):
        Toy(tmp_path).load()


def test_unreadable_root(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(BadRequest, "data.root", "nowhere", "no such folder"):
        Toy(tmp_path / "nowhere").load()
    closed = root / "toy"
    # the test may run as root, to whom no folder is closed
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and access(path, mode))
    with refused(BadRequest, closed, "permission denied"):
        Toy(root).load()


def broken(root: Path, how: str) -> tuple[type[PprError], list[object]]:
    """Break the toy set in one way; the error to expect and its words."""
    shard = root / "toy" / "plain" / "train-00001-of-00002.parquet"
    test = root / "toy" / "plain" / "test-00000-of-00001.parquet"
    good = [png(pixels) for pixels in pictures(15, 0)]
    labels = [row % 3 for row in range(15)]
    if how == "truncated":
        shard.write_bytes(shard.read_bytes()[:-100])
        return RunFailed, [shard, "not a whole Parquet file"]
    if how == "torn inside":
        content = bytearray(shard.read_bytes())
        content[4:400] = bytes(396)
        shard.write_bytes(content)
        return RunFailed, [shard, "not a whole Parquet file"]
    if how == "missing column":
        write(shard, good, labels, image="imgs")
        return RunFailed, [shard, "no column 'img'", "did you mean 'imgs'"]
    if how == "wrong size":
        write(shard, [*good[:4], png(pictures(1, 0, (5, 4))[0]), *good[5:]], labels)
        return RunFailed, [shard, "row 4 is 5 x 4 pixels, not 6 x 4"]
    if how == "not an image":
        write(shard, [*good[:14], b"text"], labels)
        return RunFailed, [shard, "row 14", "decoded"]
    if how == "torn image":
        write(shard, [good[0][:60], *good[1:]], labels)
        return RunFailed, [shard, "row 0", "decoded"]
    if how == "empty cell":
        write(shard, [*good[:14], None], labels)
        return RunFailed, [shard, "row 14 holds no encoded image"]
    if how == "label out of range":
        write(shard, good, [*labels[:14], 3])
        return RunFailed, [shard, "'label'", "from 0 to 2"]
    if how == "rows missing":
        write(shard, good[:14], labels[:14])
        return RunFailed, [shard.parent, "29 rows", "30 are published"]
    if how == "missing shard":
        shard.unlink()
        return BadRequest, ["1 of 2 files of split train", shard.parent]
    test.unlink()
    return BadRequest, ["no file of split test", test.parent]


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "torn inside",
        "missing column",
        "wrong size",
        "not an image",
        "torn image",
        "empty cell",
        "label out of range",
        "rows missing",
        "missing shard",
        "missing split",
    ],
)
def test_broken_files_are_named_in_one_line(how: str, root: Path) -> None:
    kind, words = broken(root, how)
    with refused(kind, *words):
        Toy(root).load()
