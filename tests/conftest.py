"""Every test runs alone with its own folders: no data mirror, no results tree, one thread."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    for name in ("PPR_DATA", "PPR_RESULTS", "PPR_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PPR_RESULTS", str(home / "results"))
    monkeypatch.setenv("PPR_CACHE", str(home / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(home / "hub"))
    return home
