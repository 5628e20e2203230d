"""Tests of data sets see those alone that they make themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_toy import write_toy


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data, no cache and no hub but what a test makes itself."""
    monkeypatch.delenv("PPR_DATA", raising=False)
    monkeypatch.setenv("PPR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_toy(tmp_path / "data" / "toy")
    return tmp_path / "data"
