"""Files stand in rooms by family: few to a folder, each name once, whatever the folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ppr import registry
from ppr.config import places, usage
from ppr.config.compose import compose, options
from ppr.errors import BadRequest
from ppr.papers.files import reference

ROOT = Path(__file__).resolve().parents[2]
MOST = 60
EXPERIMENT = "# @package _global_\ndefaults:\n  - supcon_digits\n  - _self_\n"


def test_no_folder_holds_more_files_than_a_reader_scrolls() -> None:
    files = [*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "ppr").rglob("*.py")]
    crowded = {folder: n for folder, n in Counter(f.parent for f in files).items() if n > MOST}
    assert not crowded


def test_a_paper_stands_in_its_family() -> None:
    for path in places.config_files("paper").values():
        assert reference(path).family == path.parent.name


@pytest.mark.parametrize("kind", ["loss", "dataset", "evaluator"])
def test_an_option_stands_in_the_room_of_its_component(kind: str) -> None:
    for option, path in places.config_files(kind).items():
        component = usage.component_of(kind, option)
        assert registry.find(kind, component).parent.name == path.parent.name, option


@pytest.mark.parametrize("where", ["mine.yaml", "my_family/mine.yaml", "a/b/mine.yaml"])
def test_a_folder_of_ones_own_may_be_flat_or_not(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_own_folders", [tmp_path])
    file = tmp_path / "experiment" / where
    file.parent.mkdir(parents=True)
    file.write_text(EXPERIMENT + "loss: {temperature: 0.3}\n")
    config = compose(["experiment=mine"])
    assert config["loss"]["temperature"] == 0.3
    assert config.experiment == "mine"
    assert "mine" in options("experiment")
    assert ("experiment", str(file)) in config.sources


def test_ones_own_option_comes_before_the_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_own_folders", [tmp_path])
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "supcon.yaml").write_text("name: supcon\ntemperature: 0.7\n")
    assert compose(["loss=supcon"])["loss"]["temperature"] == 0.7


def test_a_name_that_is_there_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_own_folders", [tmp_path])
    for room in ("one", "two"):
        (tmp_path / "experiment" / room).mkdir(parents=True)
        (tmp_path / "experiment" / room / "mine.yaml").write_text(EXPERIMENT)
    with pytest.raises(BadRequest, match="experiment 'mine' is there twice: .*one.*two"):
        compose(["experiment=mine"])
