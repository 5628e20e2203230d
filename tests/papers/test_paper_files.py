"""`ppr paper NAME --files`: what a reader of one paper has to open, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ppr.cli.main import cli
from ppr.config.places import shipped_configs

EXPECTED = {
    "focal": ["configs/paper/*/focal.yaml", "configs/paper/*/index/focal.json",
              "configs/loss/*/focal.yaml", "ppr/losses/*/focal.py", "tests/*/losses/focal.py"],
    "asl": ["configs/paper/*/asl.yaml", "configs/paper/*/index/asl.json",
            "configs/loss/*/asl.yaml", "ppr/losses/*/asl.py", "tests/*/losses/asl.py"],
}  # fmt: skip


@pytest.mark.parametrize("slug", EXPECTED)
def test_a_papers_files_are_named_one_a_line(slug, monkeypatch):
    root = shipped_configs().parent
    monkeypatch.chdir(root)
    done = CliRunner().invoke(cli, ["paper", slug, "--files"])
    files = [Path(line) for line in done.output.splitlines()]
    assert files == sorted({*files})
    assert all((root / file).is_file() and not file.is_absolute() for file in files)
    for pattern in EXPECTED[slug]:
        assert any(file.match(pattern) for file in files), pattern
    other = {"focal": "asl", "asl": "focal"}[slug]
    assert not any(file.stem == other for file in files)
