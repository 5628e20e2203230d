"""A home that is not there is one line, wherever a user can name one."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import pytest

from ppr.config.compose import compose
from ppr.config.places import add_config_dir, cache_root, data_root, results_root
from ppr.errors import BadRequest
from ppr.launchers.job import places
from ppr.registry import add_plugin, make

NOBODY = "~nobody_of_this_name/x"


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("PPR_RESULTS", results_root), ("PPR_DATA", partial(data_root, None)),
        ("PPR_CACHE", cache_root),
    ],
)  # fmt: skip
def test_a_variable_that_names_no_home_is_told(monkeypatch, name, ask):
    monkeypatch.setenv(name, NOBODY)
    with pytest.raises(BadRequest, match=f"^{name}={NOBODY}: there is no such user's home"):
        ask()


@pytest.mark.parametrize(
    ("named", "ask"),
    [
        ("--plugin", add_plugin), ("--config-dir", add_config_dir), ("data.root", data_root),
        ("results.root", results_root),
    ],
)  # fmt: skip
def test_a_word_that_names_no_home_is_told(named, ask):
    with pytest.raises(BadRequest, match=f"^{named}={NOBODY}: "):
        ask(NOBODY)


def test_a_tracker_and_a_job_tell_it_too(monkeypatch):
    tracker = make("tracker", compose(["tracker=wandb", "tracker.mode=offline"])["tracker"])
    tracker.folder = NOBODY
    with pytest.raises(BadRequest, match=r"^tracker\.folder="):
        tracker.check()
    monkeypatch.setenv("HF_HOME", NOBODY)
    with pytest.raises(BadRequest, match="^HF_HOME="):
        places()


def test_without_a_home_the_cache_is_temporary(monkeypatch):
    monkeypatch.delenv("PPR_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert cache_root() == Path(tempfile.gettempdir()) / "ppr-cache"
