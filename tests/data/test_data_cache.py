"""The decoded-array cache: used again, made again when damaged, never in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_toy import ROWS, Toy, same, write_toy

from ppr.config.places import cache_root
from ppr.data import cache


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_toy(tmp_path / "data" / "toy")
    return tmp_path / "data"


def entry() -> Path:
    (found,) = cache_root().iterdir()
    return found


def test_images_are_decoded_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Toy(root).load()
    assert {file.name for file in entry().iterdir()} == {
        "entry.json",
        *(f"{split}.{what}.npy" for split in ROWS for what in ("images", "targets")),
    }
    with monkeypatch.context() as patch:
        patch.setattr(Toy, "read", lambda self: pytest.fail("decoded again"))
        again = Toy(root).load()
    assert same(first, again)
    again.train.inputs.zero_()  # what a user does to the tensors does not reach the file
    assert same(first, Toy(root).load())


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["train.images.npy", "entry.json"])
@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink])
def test_damaged_entry_is_made_again(name: str, damage: Any, root: Path, tmp_path: Path) -> None:
    whole = Toy(root).load()
    kept = (entry() / "train.images.npy").read_bytes()
    damage(entry() / name)
    if damage is Path.unlink:
        again = Toy(root).load()
    else:
        with pytest.warns(UserWarning, match="decoding again"):
            again = Toy(root).load()
    assert same(whole, again)
    assert (entry() / "train.images.npy").read_bytes() == kept


def test_changed_source_is_decoded(root: Path) -> None:
    before = Toy(root).load()
    write_toy(root / "toy", seed=5)
    assert Toy(root).load().digest != before.digest


def test_unwritable_cache_is_no_obstacle(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PPR_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="decoded again at the next start"):
        assert len(Toy(root).load().train) == 30


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Any, array: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.warns(UserWarning, match="No space left"):
        cache.cached("x", [], lambda: {"a": np.zeros(3)})
    assert list(cache_root().iterdir()) == []
