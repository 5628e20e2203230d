"""Every test runs alone with its own folders: no data mirror, no results tree, one thread."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch, and for the processes that tests start

import pytest
from hypothesis import settings

from ppr import commands
from ppr.config import places

settings.register_profile("ppr", database=None, deadline=None, derandomize=True)
settings.load_profile("ppr")


@pytest.fixture(autouse=True, scope="session")
def only_own_records():
    """No run that ships with ppr, fixtures of modules included, but for tests marked so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ppr.results.tree.shipped_records", lambda: None)
        yield


@pytest.fixture(autouse=True)
def shipped_records_too(request, monkeypatch):
    """With `pytest.mark.shipped_records` a test sees the runs that ship with ppr."""
    if request.node.get_closest_marker("shipped_records"):
        monkeypatch.setattr("ppr.results.tree.shipped_records", places.shipped_records)


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    for name in ("PPR_DATA", "PPR_RESULTS", "PPR_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PPR_RESULTS", str(home / "results"))
    monkeypatch.setenv("PPR_CACHE", str(home / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(home / "hub"))
    yield home
    commands.begin(())  # what a command line of the test named is no option of the next one
