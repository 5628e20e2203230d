"""The files of a run: whole or not there, logs that survive a tear, one process a run."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_toy import FINITE, NAMES

from ppr.errors import RunFailed
from ppr.results.files import MetricsLog, read_json, read_lines, write_atomic, write_json
from ppr.results.lock import HOLDER, LOCK, RunBusy, claim, is_held
from ppr.results.tree import state


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    target = tmp_path / "summary.json"
    write_atomic(target, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(RunFailed, match=r"summary\.json: cannot write: No space left on device"):
        write_atomic(target, "new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["summary.json"]


def test_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "summary.json", b"new")
    assert os.listdir(tmp_path) == []


def test_write_atomic_names_a_missing_folder(tmp_path):
    with pytest.raises(RunFailed, match="gone/x: cannot write: No such file"):
        write_atomic(tmp_path / "gone" / "x", "")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_is_not_finite_and_says_where(tmp_path, number):
    with pytest.raises(RunFailed, match=rf"metrics/linear\[1\] is {number}"):
        write_json(tmp_path / "s.json", {"metrics": {"linear": [1.0, number]}})
    assert os.listdir(tmp_path) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=25, deadline=None)  # each syncs the disk
@given(json_values)
def test_json_round_trip(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, content)
    assert read_json(path) == content


log_records = st.lists(st.dictionaries(NAMES, FINITE | st.integers()), max_size=6)


@settings(max_examples=50, deadline=None)
@given(log_records, st.data())
def test_log_survives_a_tear_at_any_byte(tmp_path_factory, written, data):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    with MetricsLog(path) as log:
        for record in written:
            log.write(record)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = written[: whole[:cut].count(b"\n")]
    assert read_lines(path) == kept
    with MetricsLog(path) as log:
        log.write({"step": 1})
    assert read_lines(path) == [*kept, {"step": 1}]


def test_log_resumed_at_a_checkpoint_has_the_bytes_of_one_never_killed(tmp_path):
    lines = [{"step": step, "train/loss": 1 / (step + 3)} for step in range(10)]
    with MetricsLog(tmp_path / "whole") as log:
        for line in lines:
            log.write(line)
    log = MetricsLog(tmp_path / "killed")
    for line in lines[:4]:
        log.write(line)
    offset = log.offset
    assert (tmp_path / "killed").stat().st_size == offset
    log.write({"step": 4, "train/loss": 99.0})
    log.close()
    with MetricsLog(tmp_path / "killed") as log:
        log.truncate(offset)
        for line in lines[4:]:
            log.write(line)
        log.flush()
        assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_log_shorter_than_the_checkpoint_is_an_error(tmp_path):
    with (
        MetricsLog(tmp_path / "m") as log,
        pytest.raises(RunFailed, match="0 bytes, but the checkpoint was made at 7"),
    ):
        log.truncate(7)


def test_log_writes_null_for_nan_and_refuses_damage_inside(tmp_path):
    path = tmp_path / "m"
    with MetricsLog(path) as log:
        log.write({"a": math.nan, "b": math.inf, "c": 1.5})
    assert path.read_text() == '{"a": null, "b": null, "c": 1.5}\n'
    path.write_text('{"a": 1}\n{"a"\n{"a": 2}\n')
    with pytest.raises(RunFailed, match="line 2: not JSON"):
        read_lines(path)
    path.write_text("3\n")
    with pytest.raises(RunFailed, match="line 1: not a JSON object"):
        read_lines(path)


FULL = """
import resource, sys
from pathlib import Path
from ppr.errors import RunFailed
from ppr.results.files import MetricsLog, write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
folder = Path(sys.argv[1])
log = MetricsLog(folder / "metrics.jsonl")
for number in range(20):
    log.write({"step": number})
for attempt in (log.flush, log.close, lambda: write_atomic(folder / "summary.json", "x" * 200)):
    try:
        attempt()
    except RunFailed as error:
        print(error)
"""


def test_a_write_that_stops_half_way_is_told_and_readable(tmp_path):
    """The system's own limit on a file's size: 100 bytes are written, the 101st is refused."""
    call = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    reason = os.strerror(errno.EFBIG)
    log = f"{tmp_path}/metrics.jsonl: cannot write: {reason}"
    assert done.stdout.splitlines() == [
        log,
        log,
        f"{tmp_path}/summary.json: cannot write: {reason}",
    ]
    assert done.stderr == ""
    assert os.listdir(tmp_path) == ["metrics.jsonl"]
    # '{"step": 0}\n' is 12 bytes: eight lines and a torn one.
    assert read_lines(tmp_path / "metrics.jsonl") == [{"step": step} for step in range(8)]


# Locks

HOLD = """
import sys, time
from pathlib import Path
from ppr.results.lock import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the run directory tmp_path/run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_one_process_a_run_and_a_killed_one_is_taken_over(tmp_path, other):
    run = tmp_path / "run"
    assert state(run) == "running"
    busy = rf"run is being run by pid {other.pid} on \S+ since \d\d:\d\d$"
    with pytest.raises(RunBusy, match=busy) as caught, claim(run):
        pass
    assert caught.value.exit_code == 1
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not is_held(run)
    assert state(run) == "interrupted"
    with claim(run):
        assert read_json(run / HOLDER)["pid"] == os.getpid()
        assert state(run) == "running"
        with pytest.raises(RunBusy, match=f"pid {os.getpid()} on"), claim(run):
            pass
    assert state(run) == "interrupted"
    assert not (run / HOLDER).exists()


def test_those_who_only_ask_disturb_nobody(tmp_path):
    run = tmp_path / "run"
    with claim(run):
        pass
    asker = os.open(run / LOCK, os.O_RDONLY)
    fcntl.flock(asker, fcntl.LOCK_SH)  # caught in the middle of is_held
    assert not is_held(run)
    leave = threading.Timer(0.1, os.close, [asker])
    leave.start()
    with claim(run):
        assert is_held(run)
    leave.join()


def test_claim_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunFailed, match="cannot lock the run directory"),
        claim(tmp_path / "file" / "run"),
    ):
        pass


# The tree
