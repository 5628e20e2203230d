"""`ppr new`: what it writes works as it is, and touches nothing that is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from well_written import assert_claims_stand_alone, assert_whole

from ppr import registry
from ppr.cli import new
from ppr.cli.check import check_words
from ppr.cli.main import cli
from ppr.config import places
from ppr.errors import BadRequest
from ppr.launchers import estimate
from ppr.papers.claim_schema import KINDS, TESTS
from ppr.papers.files import read

COMPONENTS = sorted({p.name.split(".")[0] for p in new._SKELETONS.glob("*.py.txt")})


@pytest.fixture
def own_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_plugin_files", [])
    monkeypatch.setattr(places, "_own_folders", [])


def ppr(*words: str) -> str:
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output


def asked(stem: str) -> list[str]:
    kind, _, family = stem.partition("_")
    return [kind, "my_own", *(("--family", family) if family else ())]


@pytest.mark.parametrize("stem", COMPONENTS)
def test_a_component_works_as_it_is_written(stem: str, tmp_path: Path, own_plugins: None) -> None:
    printed = ppr("new", *asked(stem), "--into", str(tmp_path))
    *files, then = printed.strip().splitlines()
    assert all(Path(file).is_relative_to(tmp_path) for file in files)
    words = then.split(" run ")[1].split()
    kind = "task" if stem == "study" else asked(stem)[0]
    assert "My own" in ppr("--plugin", str(tmp_path), "show", f"{kind}/my_own")
    check_words(words)
    (test,) = (tmp_path / "tests").rglob("test_*.py")
    space: dict[str, object] = {}
    exec(compile(test.read_text(), str(test), "exec"), space)
    tests = [v for name, v in space.items() if name.startswith("test_") and callable(v)]
    assert tests
    for check in tests:
        check()
    registry._index.cache_clear()
    registry.describe.cache_clear()


def test_a_paper_can_be_reproduced_at_once(
    tmp_path: Path, own_plugins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "_measured", lambda configs: {})  # seconds for a process
    ppr("new", "paper", "my_own", "--into", str(tmp_path))
    paper = read(tmp_path / "configs" / "paper" / "my_own.yaml")
    assert paper.tables["digits"].scale == "desk"
    planned = ppr("reproduce", "--config-dir", str(tmp_path / "configs"), "my_own", "--dry-run")
    assert planned.startswith("my_own: 10 runs, 0 done, 10 to do")


@pytest.mark.parametrize("room", ["", "long_tail/"])
def test_in_a_checkout_they_lie_where_ppr_looks(room: str) -> None:
    files = new.skeleton("loss", "loss_contrastive", "my_own", None, room.strip("/") or None)
    root = places.shipped_configs().parent
    parts = [
        f"ppr/losses/{room}my_own.py",
        f"configs/loss/{room}my_own.yaml",
        f"tests/{room}losses/my_own.py",
    ]
    assert list(files) == [root / part for part in parts]


def test_a_paper_goes_to_the_room_of_its_family_and_keeps_what_papers_keep(tmp_path: Path) -> None:
    files = new.skeleton("paper", "paper", "my_own", None, "long_tail")
    (paper,) = [path for path in files if "paper" in path.parts]
    assert paper.parent.name == "long_tail"
    assert "family: long_tail\n" in files[paper]
    copy = tmp_path / paper.name
    copy.write_text(files[paper])
    assert_whole(copy)
    assert_claims_stand_alone(copy)


def test_nothing_that_is_there_is_touched(tmp_path: Path, own_plugins: None) -> None:
    ppr("new", "loss", "mine", "--into", str(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(BadRequest, match="is there already"):
        ppr("new", "loss", "mine", "--into", str(tmp_path))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["los", "mine"], "did you mean 'loss'"),
        (["loss", "My Loss"], "small letters"),
        (["loss", "class"], "small letters"),
        (["loss", "mine", "--family", "contrastiv"], "did you mean 'contrastive'"),
        (["model", "mine", "--family", "contrastive"], "of losses only"),
    ],
)
def test_what_cannot_be_named_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=said):
        ppr("new", *words, "--into", str(tmp_path))


def test_the_skeleton_of_a_paper_says_what_a_claim_is_and_how_it_can_be_tested():
    text = (new._SKELETONS / "paper.paper.txt").read_text(encoding="utf-8")
    comment = re.findall(r"^#   (\S.*?)   ", text, re.MULTILINE)
    assert {word.strip() for words in comment for word in words.split(",")} == {*TESTS, *KINDS}


def test_pytest_collects_the_tests_of_a_folder_of_ones_own(tmp_path: Path, own_plugins: None):
    """In a process of its own, as pytest is there: the folder's components are found."""
    ppr("new", "loss", "mine", "--into", str(tmp_path))
    ppr("new", "schedule", "slow", "--into", str(tmp_path), "--room", "vision")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(tmp_path / "tests")]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
