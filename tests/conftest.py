"""Every test runs alone with its own folders: no data mirror, no results tree, one thread."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch, and for the processes that tests start

import pytest
from hypothesis import settings

settings.register_profile("ppr", database=None, deadline=None, derandomize=True)
settings.load_profile("ppr")


@pytest.fixture(autouse=True)
def only_own_records(request, monkeypatch):
    """No run that ships with ppr, unless a test asks for them: `pytest.mark.shipped_records`."""
    if not request.node.get_closest_marker("shipped_records"):
        monkeypatch.setattr("ppr.results.tree.shipped_records", lambda: None)


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
