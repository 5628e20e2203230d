"""The toy paper reproduced once, for the tests of the commands that read or add to its runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from paper_toy import invoke, known, write_configs

from ppr.launchers import estimate


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The configs, and a tree in which the paper has been reproduced."""
    home = tmp_path_factory.mktemp("toy")
    configs, root = write_configs(home / "configs"), home / "results"
    with known(configs, root), pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "_measured", lambda configs: {})  # seconds for a process
        result = invoke("reproduce", "toy")
        assert result.exit_code == 0, result.output
    return configs, root


@pytest.fixture
def configs(made: tuple[Path, Path], tmp_path: Path) -> Iterator[Path]:
    """The toy configs, not to be changed, and an empty tree."""
    with known(made[0], tmp_path / "results"):
        yield made[0]


@pytest.fixture
def own_configs(tmp_path: Path) -> Iterator[Path]:
    """Toy configs to change."""
    folder = write_configs(tmp_path / "toy" / "configs")
    with known(folder, tmp_path / "results"):
        yield folder


@pytest.fixture
def root(made: tuple[Path, Path], tmp_path: Path) -> Iterator[Path]:
    """A copy of the reproduced tree, to spoil."""
    where = tmp_path / "results"
    shutil.copytree(made[1], where)
    with known(made[0], where):
        yield where
