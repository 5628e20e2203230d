"""Trackers: a run's record replayed to W&B, live and later, offline and to a server on loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import wandb_record
from hypothesis import given, settings
from hypothesis import strategies as st
from wandb_server import KEY, WandbServer

from ppr import registry
from ppr.cli.track import command as track
from ppr.config.compose import compose
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.results.failure import reason
from ppr.results.files import read_json, read_lines
from ppr.results.lock import RunBusy, claim, is_held
from ppr.trackers import live, wandb_account
from ppr.trackers.tail import Mark, Rewritten, Tail
from ppr.urls import without_userinfo

pytest_plugins = ("sweeping",)

OFFLINE = ["tracker=wandb", "tracker.mode=offline"]
TOY = ["experiment=sweep_toy", "seed=0"]


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)


@pytest.fixture
def server(monkeypatch):
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield server


def start(ppr, *words):
    """`ppr run` of the toy experiment in a process of its own, to its end."""
    command = [*ppr.command, "run", "--config-dir", str(ppr.configs), *TOY, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def finished(ppr):
    """The directory of a run without a tracker."""
    assert ppr("run", *TOY).code == 0
    return folder_of()


def folder_of(*words):
    return compose([*TOY, *words]).folder


def record_of(folder):
    (where,) = (folder / "wandb").glob("offline-run-*")  # one, however often it was resumed
    return wandb_record.read(where)


def without_clock(history):
    """History lines less what W&B adds."""
    return [{k: v for k, v in line.items() if k[0] != "_"} for line in history]


@pytest.mark.slow
def test_a_sweep_is_recorded_offline_live_through_kills(ppr):
    done = ppr("run -m seed=3 task.kills=1", "tracker.tags=[mine]", *OFFLINE)
    assert (done.code, done.err.count("killed by SIGKILL")) == (0, 1)
    config = compose([*TOY, "seed=3", "task.kills=1"])
    folder = config.folder
    found, summary = record_of(folder), read_json(folder / "summary.json")
    assert found.run.run_id == summary["run_id"] == config.run_id
    assert (found.run.project, found.run.run_group) == ("ppr", ppr.newest())
    assert list(found.run.tags) == ["sweep_toy", "desk", "mine"]
    assert found.config["task"]["kills"] == 1
    assert found.config["seed"] == 3
    *lines, media = without_clock(found.history)
    assert lines == read_lines(folder / "metrics.jsonl")
    assert len(lines) == 12
    assert media["result/_type"] == "table-file"
    assert media["curves/_type"] == "image-file"
    assert found.summary["toy/weight"] == summary["metrics"]["toy"]["weight"]
    axes = {metric.name or metric.glob_name: metric.step_metric for metric in found.metrics}
    assert axes == {"step": "", "*": "step"}
    assert found.exit_code == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_in_the_same_run_of_the_server(ppr, server):
    words = ["task.kills=1", "task.step_seconds=0.4", "tracker=wandb"]
    killed = start(ppr, *words)
    assert killed.returncode == -signal.SIGKILL
    folder = folder_of("task.kills=1", "task.step_seconds=0.4")
    # What follows it learns of its death by the pipe, sends the rest and leaves.
    ppr.until(lambda: any(run["exit"] is not None for run in server.runs.values()))
    ppr.until(lambda: not is_held(folder / "wandb"))
    (run,) = server.runs.values()
    before = list(run["history"])
    assert (len(before), run["exit"]) == (6, 1)

    done = start(ppr, *words)
    assert (done.returncode, done.stderr) == (0, "")
    (name,) = server.runs
    assert name == read_json(folder / "summary.json")["run_id"]
    assert (server.queries.count("RunResumeStatus"), run["exit"]) == (1, 0)
    assert run["history"][: len(before)] == before  # nothing is sent twice
    assert [line["_step"] for line in run["history"]] == list(range(13))
    assert without_clock(run["history"])[:-1] == read_lines(folder / "metrics.jsonl")
    assert not [f for f in folder.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]


def test_what_was_sent_but_is_not_true_any_more_is_replaced(ppr, server):
    folder = finished(ppr)
    tracker = registry.make("tracker", compose([*TOY, "tracker=wandb"])["tracker"])
    over = threading.Event()
    over.set()
    tracker.replay(folder, over)
    log = folder / "metrics.jsonl"
    log.write_text(log.read_text().replace('"lr": 0.05', '"lr": 0.07'))
    assert tracker.replay(folder, over).endswith(f"/runs/{next(iter(server.runs))}")
    (run,) = server.runs.values()
    assert {line.get("lr") for line in run["history"][:12]} == {0.07}
    assert len(run["history"]) == 13


def test_an_outage_is_one_line_and_the_run_is_not_affected(ppr, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    done = start(ppr, "tracker=wandb", "tracker.project=mine")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "finished in" in done.stdout
    assert "cannot reach http://127.0.0.1:9" in done.stderr
    later = rf"later: ppr --plugin \S+ track .*{folder_of()} tracker=wandb tracker.project=mine\n$"
    assert re.search(later, done.stderr)


def test_a_tracker_that_hangs_is_left_behind(ppr, monkeypatch, capsys, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import time\nfrom ppr.registry import component\n\n\n"
        '@component("tracker")\nclass Slow:\n    def check(self): ...\n\n'
        "    def replay(self, folder, over): time.sleep(600)\n"
    )
    registry.add_plugin(slow)
    monkeypatch.setattr(live, "_PATIENCE", 0.5)
    ppr("run", *TOY, "tracker=slow")
    (follower,) = live._followers
    live.finish()
    assert "not everything was sent in 0 s" in capsys.readouterr().err
    assert follower.process.poll() == -signal.SIGKILL


@pytest.mark.parametrize("command", ["run", "run -m seed=0,1"])
def test_without_a_key_it_is_refused_before_training(ppr, command):
    done = ppr(f"{command} tracker=wandb")
    assert done.code == 2
    for part in ("https://api.wandb.ai", "wandb login", "WANDB_API_KEY", "tracker.mode=offline"):
        assert part in done.error
    assert not Path(os.environ["PPR_RESULTS"]).exists()


def test_without_wandb_one_line_says_how_to_get_it(ppr, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "wandb" else find(name, *a)
    )
    done = ppr("run", *OFFLINE)
    assert (done.code, done.error) == (2, "tracker=wandb needs wandb: pip install 'ppr[wandb]'")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (['tracker.tags=[""]'], "tracker.tags: '': W&B takes tags of 1 to 64 characters"),
        ([f"tracker.tags=[{'x' * 65}]"], "W&B takes tags of 1 to 64 characters"),
        (["tracker.project=a/b"], r"tracker.project='a/b': W&B takes at most 128 characters"),
        ([f"tracker.project={'x' * 129}"], "W&B takes at most 128 characters"),
        (["tracker.folder=/dev/null/x"], "tracker.folder=/dev/null/x: cannot be written (Not a d"),
        (["tracker.folder=/proc/self"], "tracker.folder=/proc/self: cannot be written ("),
    ],
)
def test_what_wandb_would_refuse_is_refused_before_training(ppr, words, said):
    done = ppr("run", *OFFLINE, *words)
    assert done.code == 2
    assert said in done.error
    assert not Path(os.environ["PPR_RESULTS"]).exists()


def test_pprs_own_tags_are_cut_to_what_wandb_takes(ppr):
    name = "sweep_toy_" + "x" * 59
    text = (ppr.configs / "experiment" / "sweep_toy.yaml").read_text()
    (ppr.configs / "experiment" / f"{name}.yaml").write_text(text)
    words = [f"experiment={name}", "seed=0"]
    assert len(name) == 69
    execute(compose([*words, *OFFLINE]))
    live.finish()
    folder = compose(words).folder
    assert list(record_of(folder).run.tags) == [name[:64], "desk"]


def test_a_folder_that_is_lost_later_is_told_and_nothing_goes_elsewhere(ppr, tmp_path):
    folder, lost = finished(ppr), tmp_path / "lost"
    node = compose([*TOY, *OFFLINE, f"tracker.folder={lost}/mine"])["tracker"]
    tracker = registry.make("tracker", node)
    tracker.check()
    shutil.rmtree(lost)
    lost.touch()
    over = threading.Event()
    over.set()
    with pytest.raises(BadRequest, match="cannot be written"):
        tracker.replay(folder, over)
    assert tracker.sent(folder) == {}


@pytest.mark.parametrize(
    ("environment", "words", "expected"),
    [
        ({}, [], ("online", "ppr", None)),
        ({"WANDB_MODE": "offline"}, [], ("offline", "ppr", None)),
        ({"WANDB_MODE": "dryrun"}, [], ("offline", "ppr", None)),
        ({"WANDB_MODE": "offline"}, ["tracker.mode=online"], ("online", "ppr", None)),
        ({"WANDB_MODE": "disabled"}, ["tracker.mode=offline"], ("offline", "ppr", None)),
        ({"WANDB_PROJECT": "p", "WANDB_ENTITY": "e"}, [], ("online", "p", "e")),
        ({"WANDB_PROJECT": "p"}, ["tracker.project=q"], ("online", "q", None)),
    ],
)
def test_wandbs_variables_hold_where_no_word_does(monkeypatch, environment, words, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tracker = registry.make("tracker", compose(["tracker=wandb", *words])["tracker"])
    assert (tracker.mode, *reversed(tracker.project)) == expected


def test_wandb_disabled_is_refused_in_a_line(ppr, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    done = ppr("run tracker=wandb")
    assert done.code == 2
    assert done.error.startswith("tracker=wandb: WANDB_MODE=disabled; leave the tracker out")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://user:pa@ss@host:80/x, then", "at http://host:80/x, then"),
        ("https://token@host/a@b?c=d@e", "https://host/a@b?c=d@e"),
        ("https://host/@someone a@b.org", "https://host/@someone a@b.org"),
    ],
)
def test_urls_lose_their_userinfo(text, shown):
    assert without_userinfo(text) == shown
    assert reason(RunFailed(text)) == shown


def test_no_password_of_a_url_is_told_or_kept(ppr, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://someone:hunter2@127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://someone:hunter2@127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    online = start(ppr, "tracker=wandb")
    assert "cannot reach http://127.0.0.1:9" in online.stderr
    replay = "from ppr.cli.main import main; main()"
    command = [sys.executable, "-c", replay, "track", str(folder_of()), *OFFLINE]
    offline = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "hunter2" not in online.stdout + online.stderr + offline.stdout + offline.stderr
    root = Path(os.environ["PPR_RESULTS"])
    files = [file for file in root.rglob("*") if file.is_file()]
    assert any(file.suffix == ".wandb" for file in files)
    assert not [file for file in files if b"hunter2" in file.read_bytes()]


def test_the_tracker_is_not_in_the_run_id():
    plain = compose(TOY[1:])
    assert plain["tracker"] is None
    assert compose([*TOY[1:], *OFFLINE, "tracker.project=x"]).run_id == plain.run_id


def test_track_sends_a_finished_run_once(ppr, capsys):
    folder = finished(ppr)

    def send(*words):
        code = track.main([*words], standalone_mode=False)
        return code, capsys.readouterr().out

    code, said = send("sweep_toy", *OFFLINE)
    (where,) = (folder / "wandb").glob("offline-run-*")
    assert (code, said) == (0, f"{folder}: {where}\n")
    assert len(record_of(folder).history) == 13
    assert send(str(folder), *OFFLINE) == (0, f"{folder}: there already: {where}\n")
    assert send("state=finished", "seed=0", *OFFLINE)[1].startswith(f"{folder}: there already")
    assert send("sweep_toy", "--force", *OFFLINE)[0] == 0
    assert len(record_of(folder).history) == 13
    for words, part in {
        ("sweep_toi", *OFFLINE): "did you mean 'sweep_toy'",
        ("seed=7", *OFFLINE): "no run",
        ("sweep_toy",): "choose one with tracker=",
        ("sweep_toy", "tracker=wandb", "tracker.mod=offline"): "did you mean 'mode'",
    }.items():
        with pytest.raises(BadRequest, match=part):
            send(*words)


def test_two_senders_of_one_run_do_not_meet(ppr):
    folder = finished(ppr)
    tracker = registry.make("tracker", compose([*TOY, *OFFLINE])["tracker"])
    over = threading.Event()
    over.set()
    with claim(folder / "wandb"), pytest.raises(RunBusy, match="by pid"):
        tracker.replay(folder, over)


def test_keys_are_found_where_wandb_keeps_them(tmp_path, monkeypatch):
    assert not wandb_account.has_key()
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert wandb_account.has_key()
    netrc.write_text(f"machine api.forge.coreweave.com login user password {KEY}\n")
    assert wandb_account.has_key()
    settings = tmp_path / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nbase_url = https://wandb.example.org\n")
    assert wandb_account.base_url() == "https://wandb.example.org"
    assert not wandb_account.has_key()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert wandb_account.has_key()


# The follower of a log


@settings(max_examples=60)
@given(st.lists(st.one_of(st.integers(1, 5), st.integers(-8, -1)), max_size=12), st.booleans())
def test_each_record_is_read_once_through_cuts_and_restarts(tmp_path_factory, moves, restart):
    path = tmp_path_factory.mktemp("tail") / "metrics.jsonl"
    lines = [json.dumps({"step": step, "x": "y" * (step % 7)}) + "\n" for step in range(80)]
    written, most, seen = 0, 0, []
    tail = Tail(path, Mark())
    for move in moves:
        written = max(0, written + move)
        most = max(most, written)
        path.write_text("".join(lines[:written]) + '{"torn": ')
        if restart:
            tail, seen = Tail(path, tail.mark), []
        seen += [record["step"] for record in tail.read()]
        assert seen in (list(range(most)), [])  # after a restart nothing until it is back there
        assert seen or written < most or not most
    assert restart or seen == list(range(most))


@pytest.mark.parametrize("restart", [False, True])
def test_a_log_with_other_lines_is_noticed(tmp_path, restart):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    tail = Tail(path, Mark())
    assert tail.read() == [{"a": 1}, {"a": 2}]
    path.write_text('{"a": 1}\n')
    tail = Tail(path, tail.mark) if restart else tail
    assert tail.read() == []
    path.write_text('{"a": 1}\n{"a": 3}\n{"a": 4}\n')
    with pytest.raises(Rewritten):
        tail.read()


def test_a_damaged_log_is_one_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"a": 1}\nnonsense\n')
    with pytest.raises(RunFailed, match=r"metrics\.jsonl: not JSON"):
        Tail(tmp_path / "metrics.jsonl", Mark()).read()
