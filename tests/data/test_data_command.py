"""`ppr data`: list, fetch and check."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from data_toy import ROWS, Toy, pictures, png, refused, write, write_toy

from ppr import registry
from ppr.cli.data import command
from ppr.data import hub
from ppr.data.check import check
from ppr.data.dataset import channel_statistics
from ppr.errors import BadRequest, RunFailed


def invoke(*words: str) -> Any:
    return CliRunner().invoke(command, list(words))


def test_list_shows_every_card_and_its_place(tmp_path: Path) -> None:
    shown = {item["name"]: item for item in json.loads(invoke("list", "--json").output)}
    assert {"digits", "mnist", "cifar10", "omniglot_small", "adult"} <= set(shown)
    assert set(shown) <= set(registry.names("dataset"))
    # Sets that are made of others, or are many, have no card before they are built.
    assert not {"hub_images", "anchors", "part", "one_class", "planar"} & set(shown)
    assert shown["digits"]["where"] == "scikit-learn"
    assert shown["cifar10"]["where"] == "not here"
    assert shown["cifar10"]["rows"] == {"train": 50_000, "test": 10_000}
    assert "cifar100" in invoke("list").output
    wrong = invoke("list", "--root", str(tmp_path / "nowhere"))
    assert isinstance(wrong.exception, BadRequest)


def test_fetch_notes_hashes_and_check_compares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_hub = {"seed": 0}

    def download(repo: str, *, local_dir: Path, allow_patterns: list[str], **_: Any) -> str:
        assert repo == "somebody/toy"
        assert allow_patterns == list(Toy.card.files.values())
        write_toy(local_dir, **on_the_hub)
        return str(local_dir)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    folder = tmp_path / "mirror" / "toy"
    place = hub.fetch(Toy.card, folder)
    noted = (folder / hub.MANIFEST).read_text()
    subprocess.run(["sha256sum", "--check", "--strict", hub.MANIFEST], cwd=folder, check=True)
    assert len(noted.splitlines()) == 3
    source = Toy(tmp_path / "mirror")
    results = {item.check: item for item in check(source, place)}
    assert {item.result for item in results.values()} == {"ok"}
    assert set(results) == {"sha256", "train labels", "train inputs", "test labels", "test inputs"}
    write_toy(folder, seed=9)
    results = {item.check: item for item in check(source, place)}
    assert results["files"].result == "failed"
    assert "train-00000-of-00002" in results["files"].detail
    on_the_hub["seed"] = 9
    with refused(RunFailed, "train-00000-of-00002"):
        hub.fetch(Toy.card, folder)
    (folder / hub.MANIFEST).unlink()
    results = {item.check: item for item in check(source, place)}
    assert results["sha256"].result == "not checked"
    assert "sha256sum" in results["sha256"].detail


@pytest.mark.parametrize("published", [None, 0.5])
def test_check_compares_content(published: float | None, root: Path) -> None:
    from dataclasses import replace

    source = Toy(root)
    place = source.find()
    assert place is not None
    shard = root / "toy" / "plain" / "test-00000-of-00001.parquet"
    write(shard, [png(pixels) for pixels in pictures(9, 0)], [0] * 9)
    mean, std = channel_statistics(torch.from_numpy(source.read()["train"][0]))
    off = 0.0 if published is None else published
    source.card = replace(source.card, mean=tuple(value + off for value in mean), std=std)
    results = {item.check: item.result for item in check(source, place)}
    assert results["train labels"] == "ok"
    assert results["test labels"] == "failed"
    assert results["statistics"] == ("ok" if published is None else "failed")


def test_check_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = json.loads(invoke("check", "--json").output)
    names = {item["name"] for item in shown}
    assert "digits" in names
    assert "cifar10" not in names  # only what is here: with scikit-learn, or drawn
    assert {item["result"] for item in shown} == {"ok"}
    absent = invoke("check", "cifar10")
    assert isinstance(absent.exception, BadRequest)
    assert "ppr data fetch cifar10" in str(absent.exception)
    unknown = invoke("check", "cifar11")
    assert isinstance(unknown.exception, BadRequest)
    assert "did you mean 'cifar10'" in str(unknown.exception)
    torn = tmp_path / "data/mnist/mnist"
    torn.mkdir(parents=True)
    for split in ROWS:
        (torn / f"{split}-00000-of-00001.parquet").write_bytes(b"torn")
    failed = invoke("check", "mnist", "--root", str(tmp_path / "data"))
    assert isinstance(failed.exception, RunFailed)
    assert "mnist (files)" in str(failed.exception)


def test_fetch_without_internet_ends_in_one_line() -> None:
    with refused(BadRequest, "cifar10", "ppr data fetch cifar10", "uoft-cs/cifar10"):
        raise invoke("fetch", "cifar10").exception
    assert "scikit-learn" in invoke("fetch", "digits").output
