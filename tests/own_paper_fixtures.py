"""The paper of our own, and its runs, for a test that asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_paper import TEXT, resolve, write_run

import ppr.cli.paper
import ppr.cli.papers
import ppr.cli.table


@pytest.fixture(name="papers")
def own_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "configs" / "paper"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(TEXT)
    (folder / "planned.yaml").write_text("title: P\nyear: 2021\nfamily: theory\nmethod: m\n")
    for module in (ppr.cli.papers, ppr.cli.paper, ppr.cli.table):
        monkeypatch.setattr(module, "folders", lambda: [folder])
        monkeypatch.setattr(module, "resolve", resolve)
    monkeypatch.setattr(
        ppr.cli.paper, "_files", lambda filled: ["ppr/losses/contrastive/supcon.py"]
    )
    return folder


@pytest.fixture(name="root")
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "results"
    monkeypatch.setenv("PPR_RESULTS", str(where))
    for seed, value in enumerate((0.90, 0.92, 0.91)):
        write_run(where, "a_small", seed, value)
        write_run(where, "b_small", seed, value - 0.2 - 0.01 * seed)
    write_run(where, "a_large", 0, 0.5)
    return where
