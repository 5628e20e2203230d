"""The results tree: whole files, locks, what a scan trusts, filters, statistics, exports."""

from __future__ import annotations

import csv
import errno
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import scipy.stats
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.cli.results import command
from ppr.errors import BadRequest, RunFailed
from ppr.report.terminal import plain_table, print_table, result_table
from ppr.results import tree
from ppr.results.export import export
from ppr.results.files import MetricsLog, read_json, read_lines, write_atomic, write_json
from ppr.results.lock import HOLDER, LOCK, RunBusy, claim, is_held
from ppr.results.metrics import metrics, value
from ppr.results.select import matches, select
from ppr.results.statistics import Interval, mean_interval, t_quantile
from ppr.results.tree import Record, records, results_root, run_path, scan, state

VARIANT = "0123456789"
NAMES = st.text("abcxyz_0189", min_size=1, max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def a_summary(experiment: str = "toy", variant: str = VARIANT, seed: int = 0, **more):
    summary = {
        "schema": 1,
        "experiment": experiment,
        "variant": variant,
        "seed": seed,
        "scale": "desk",
        "metrics": {"linear": {"top1": 0.9 + seed / 100}, "knn": {"top1": 0.8}},
        "untrained": {"linear": {"top1": 0.6}},
        "best": {"epoch": 3, "chosen_by": "validation/knn/top1", "metrics": {"knn": {"top1": 0.7}}},
        "cost": {"seconds": 12.5, "device": "cpu", "peak_memory_bytes": None},
    }
    return summary | more


def make_run(root: Path, summary: dict | None = None, config: str = "", **where) -> Path:
    place = {"experiment": "toy", "variant": VARIANT, "seed": 0} | where
    path = run_path(root, **place)
    path.mkdir(parents=True)
    temperature = 0.1 + place["seed"] / 10
    (path / tree.CONFIG).write_text(
        config or f"scale: desk\nloss: {{name: supcon, temperature: {temperature:.1f}}}\n"
    )
    (path / tree.ENVIRONMENT).write_text('{"python": "3.11"}')
    summary = a_summary(**place) if summary is None else summary
    if summary:
        (path / tree.SUMMARY).write_text(json.dumps(summary))
    return path


# Files


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


def test_root(monkeypatch, tmp_path):
    monkeypatch.delenv("PPR_RESULTS", raising=False)
    assert results_root() == Path("results")
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    assert results_root() == tmp_path
    assert results_root("here") == Path("here")


@settings(max_examples=25, deadline=None)
@given(NAMES, st.text("0123456789abcdef", min_size=10, max_size=10), st.integers(-5, 10**9))
def test_a_run_is_read_back_from_where_it_is_written(tmp_path_factory, experiment, variant, seed):
    root = tmp_path_factory.mktemp("tree")
    summary = a_summary(experiment, variant, seed)
    path = run_path(root, experiment, variant, seed)
    path.mkdir(parents=True)
    write_json(path / tree.SUMMARY, summary)
    assert scan(root).problems == []
    assert records(root) == [Record(experiment, variant, seed, path, "finished", summary, path)]


def test_states(tmp_path):
    assert state(tmp_path / "x") == "absent"
    finished = make_run(tmp_path, seed=0)
    failed = make_run(tmp_path, summary={}, seed=1)
    (failed / tree.FAILURE).write_text("{}")
    interrupted = make_run(tmp_path, summary={}, seed=2)
    assert [state(p) for p in (finished, failed, interrupted)] == [
        "finished",
        "failed",
        "interrupted",
    ]
    assert [r.state for r in records(tmp_path)] == ["finished", "failed", "interrupted"]
    assert [bool(r.summary) for r in records(tmp_path)] == [True, False, False]


BAD_SUMMARIES = {
    "torn": ('{"schema": 1, "exp', "summary.json: not JSON"),
    "empty": ("", "summary.json: not JSON"),
    "binary": ("\x00\xff", "summary.json: not JSON"),
    "deep": ("[" * 100_000, "summary.json: not JSON"),
    "a list": ("[]", "summary.json: not a JSON object"),
    "later schema": (a_summary(schema=2), "schema 2; this version of ppr reads 1"),
    "no schema": ({"metrics": {}}, "schema None"),
    "no metrics": (a_summary(metrics=None), "metrics is None, not dict"),
    "text for metrics": (a_summary(metrics="0.9"), "metrics is '0.9', not dict"),
    "list for best": (a_summary(best=[1]), "best is [1], not an object"),
    "bad best": (a_summary(best={"metrics": 3}), "best.metrics is not an object"),
    "NaN": (a_summary(metrics={"linear": {"top1": math.nan}}), "metric linear/top1 is nan"),
    "infinite": (a_summary(untrained={"x": math.inf}), "metric untrained/x is inf"),
    "NaN at best": (a_summary(best={"metrics": {"x": math.nan}}), "metric best/x is nan"),
    "null metric": (a_summary(metrics={"x": None}), "metric x is None, not a number"),
    "text metric": (a_summary(metrics={"x": "0.9"}), "metric x is '0.9', not a number"),
    "another seed": (a_summary(seed=7), "of another run: toy/0123456789/seed=7"),
    "another experiment": (a_summary("other"), "of another run: other/0123456789/seed=1"),
}


@pytest.mark.parametrize("case", BAD_SUMMARIES)
def test_a_bad_summary_is_a_problem_and_hides_nothing_else(tmp_path, case):
    content, reason = BAD_SUMMARIES[case]
    if isinstance(content, dict) and content.get("seed") == 0:
        content["seed"] = 1
    if case == "another experiment":
        content = a_summary("other", seed=1)
    path = make_run(tmp_path, summary={}, seed=1)
    text = content if isinstance(content, str) else json.dumps(content)
    (path / tree.SUMMARY).write_text(text, encoding="latin-1")
    make_run(tmp_path, seed=0)
    found = scan(tmp_path)
    assert [(p.path, reason in p.reason) for p in found.problems] == [(path, True)]
    assert "\n" not in str(found.problems[0])
    assert [r.seed for r in found.records] == [0]


def test_what_is_no_run_is_told_or_left_alone(tmp_path):
    make_run(tmp_path)
    (tmp_path / "README.md").write_text("")
    (tmp_path / "figures" / "old").mkdir(parents=True)
    (tmp_path / "toy" / ".aside" / "seed=0").mkdir(parents=True)
    (tmp_path / "toy" / "by_hand" / "seed=0").mkdir(parents=True)
    (tmp_path / "toy" / VARIANT / "seed=one").mkdir()
    (tmp_path / "toy" / VARIANT / "seed=01").mkdir()
    found = scan(tmp_path)
    assert len(found.records) == 1
    assert [str(p).removeprefix(f"{tmp_path}/toy/") for p in found.problems] == [
        f"{VARIANT}/seed=01: 'seed=01' is not seed=<integer>",
        f"{VARIANT}/seed=one: 'seed=one' is not seed=<integer>",
        "by_hand/seed=0: 'by_hand' is not a variant: ten hexadecimal digits",
    ]
    assert scan(tmp_path / "none") == tree.Scan([], [])


def test_published_runs_are_read_like_live_ones(tmp_path):
    for seed in range(3):
        make_run(tmp_path / "live", seed=seed)
    live = records(tmp_path / "live")
    (tmp_path / "public").mkdir()
    assert export(live, tmp_path / "public" / "toy.jsonl") == 3
    published = records(tmp_path / "public")
    assert [r.path for r in published] == [None] * 3
    for one, other in zip(live, published, strict=True):
        assert one.summary == other.summary
        assert one.config() == other.config()
        assert one.environment() == other.environment()
    # Published again from the published, nothing changes.
    export(published, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (
        tmp_path / "public" / "toy.jsonl"
    ).read_bytes()


def test_a_live_run_wins_over_a_published_one_when_finished(tmp_path):
    lines = [{"summary": a_summary(seed=seed), "config": {}} for seed in range(3)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "a.jsonl").write_text(text)
    make_run(tmp_path, seed=0)
    make_run(tmp_path, summary={}, seed=1)
    found = [(r.seed, r.state, r.path is None) for r in records(tmp_path)]
    assert found == [
        (0, "finished", False),
        (1, "interrupted", False),
        (1, "finished", True),
        (2, "finished", True),
    ]


def test_published_damage_is_told_by_line(tmp_path):
    good = json.dumps({"summary": a_summary()})
    other = json.dumps({"summary": a_summary(metrics={"linear": {"top1": 0.1}})})
    nan = json.dumps({"summary": a_summary(seed=5, metrics={"x": math.nan})})
    (tmp_path / "a.jsonl").write_text(f'{good}\n3\n{{"summary"\n{nan}\n')
    (tmp_path / "b.jsonl").write_text(f"{good}\n{other}\n")
    found = scan(tmp_path)
    assert [r.source.name for r in found.records] == ["a.jsonl"]
    reasons = [p.reason for p in found.problems]
    assert reasons[0] == "line 2: not a JSON object"
    assert reasons[1].startswith("line 3: not JSON")
    assert reasons[2] == "line 4: summary.json: metric x is nan"
    assert (
        reasons[3] == f"toy/{VARIANT}/seed=0 is published with other results in {tmp_path}/a.jsonl"
    )
    assert len(reasons) == 4


# Metrics and statistics


def test_metric_paths():
    summary = a_summary()
    assert value(summary, "linear/top1") == 0.9
    assert value(summary, "untrained/linear/top1") == 0.6
    assert value(summary, "best/knn/top1") == 0.7
    assert value(summary, "cost/seconds") == 12.5
    with pytest.raises(BadRequest, match="no metric 'linear/top2': did you mean 'linear/top1'"):
        value(summary, "linear/top2")
    with pytest.raises(BadRequest, match=r"allowed: .*untrained/linear/top1"):
        value(summary, "cost/device")
    assert metrics({}) == {}
    assert metrics({"best": None, "untrained": None, "metrics": {"a": 1}}) == {"a": 1}


nested = st.recursive(FINITE, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3))


@settings(deadline=None)
@given(st.dictionaries(NAMES, nested, max_size=3))
def test_every_number_is_found_under_its_path(tree_of_numbers):
    found = metrics({"metrics": tree_of_numbers})
    for path, number in found.items():
        inner = tree_of_numbers
        for part in path.split("/"):
            inner = inner[part]
        assert inner == number
        assert value({"metrics": tree_of_numbers}, path) == number

    def leaves(node):
        return sum(map(leaves, node.values())) if isinstance(node, dict) else 1

    assert len(found) == leaves(tree_of_numbers)


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12))
def test_interval_is_scipys(values):
    interval = mean_interval(values)
    spread = scipy.stats.sem(values)
    assert interval.mean == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert interval.n == len(values)
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, interval.mean, spread or 1.0)
    expected = (high - low) / 2 if spread else 0.0
    assert interval.half_width == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_interval_edges():
    assert mean_interval([0.5]) == Interval(0.5, None, 1)
    assert str(mean_interval([0.5])) == "0.5000 (n=1, no interval)"
    assert str(Interval(0.97553, 0.00213, 3)) == "0.9755 ± 0.0021 (n=3)"
    assert str(Interval(123.4, 56.0, 3)) == "123 ± 56 (n=3)"
    assert str(Interval(0.5, 0.0, 3)) == "0.5000 ± 0.0000 (n=3)"
    assert str(Interval(1234.6, 567.0, 3)) == "1235 ± 567 (n=3)"
    assert str(Interval(1.25e-9, 3e-12, 3)) == "1.250e-09 ± 3.0e-12 (n=3)"
    assert t_quantile(4, 0.90) == pytest.approx(scipy.stats.t.ppf(0.95, 4))
    for values in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(ValueError, match="finite"):
            mean_interval(values)


# Filters, exports, the command


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "results"
    for seed in range(3):
        make_run(root, seed=seed)
    make_run(root, experiment="toy_long", variant="ab" * 5, seed=0)
    failed = make_run(root, summary={}, variant="cd" * 5, seed=0)
    (failed / tree.FAILURE).write_text("{}")
    return root


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ([], 5),
        (["experiment=toy"], 4),
        (["experiment=toy*"], 5),
        (["toy"], 4),
        (["abab"], 1),
        (["state=failed"], 1),
        (["state=running"], 0),
        (["seed=0"], 3),
        (["seed=1,2"], 2),
        (["seed=9"], 0),
        (["scale=desk"], 5),
        (["loss=supcon"], 5),
        (["loss.name=sup*"], 5),
        (["loss.temperature=0.2"], 1),
        (["loss.temperature=2e-1", "experiment=toy"], 1),
        (["loss.temperature=0.1", "state=finished"], 2),
        (["toy", "experiment=toy_long"], 0),
    ],
)
def test_filters(root, filters, count):
    assert len(select(scan(root), filters).records) == count


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (["experiment=toy_lon"], "did you mean 'toy_long'"),
        (["state=faild"], "did you mean 'failed'"),
        (["variant=99"], "variant=99: no such run"),
        (["loss.temprature=1"], "did you mean 'loss.temperature'"),
        (["tyo"], "did you mean 'toy'"),
    ],
)
def test_a_wrong_filter_says_what_was_meant(root, filters, message):
    with pytest.raises(BadRequest, match=message):
        select(scan(root), filters)


def test_an_unreadable_config_is_a_problem(root):
    file = run_path(root, "toy", VARIANT, 1) / tree.CONFIG
    file.write_text("loss: {name: [")
    found = select(scan(root), ["loss=supcon"])
    assert len(found.records) == 4
    assert [p.path for p in found.problems] == [file.parent]
    assert found.problems[0].reason.startswith("config.yaml: not YAML")


@pytest.mark.parametrize(
    ("given", "pattern", "expected"),
    [
        (None, "null", True),
        (True, "true", True),
        (True, "1", False),
        (1, "1.0", True),
        (0.1, "0.10", True),
        ("a", "b,a", True),
        ("0.1", "0.1", True),
        (3, "x", False),
    ],
)
def test_matches(given, pattern, expected):
    assert matches(given, pattern) is expected


def run_cli(root, *words):
    return CliRunner().invoke(command, ["--results", str(root), *words], catch_exceptions=False)


def test_command_lists_runs_and_problems(root):
    (run_path(root, "toy", VARIANT, 1) / tree.SUMMARY).write_text("{")
    shown = run_cli(root).output.splitlines()
    assert shown[0].split()[:4] == ["experiment", "variant", "seed", "state"]
    assert len(shown) == 1 + 4 + 1 + 2
    assert "0.9000" in shown[1]
    assert "12.5" in shown[1]
    assert shown[-2] == "1 problem, left out above:"
    assert "toy/0123456789/seed=1: summary.json: not JSON" in shown[-1]


def test_command_json_and_group(root):
    runs = json.loads(run_cli(root, "--json", "state=finished").output)
    assert [run["seed"] for run in runs["runs"]] == [0, 1, 2, 0]
    assert runs["problems"] == []
    groups = json.loads(run_cli(root, "--json", "--group", "--metric", "linear/top1").output)
    expected = mean_interval([0.90, 0.91, 0.92])
    first, second = groups["groups"]
    assert first["seeds"] == [0, 1, 2]
    assert first["metrics"]["linear/top1"]["half_width"] == pytest.approx(expected.half_width)
    assert second["metrics"]["linear/top1"]["text"] == "0.9000 (n=1, no interval)"
    shown = run_cli(root, "--group").output
    assert str(expected) in shown
    assert "1 unfinished run left out" in shown


def test_command_refuses_in_one_line(root, tmp_path):
    with pytest.raises(BadRequest, match="did you mean 'linear/top1'"):
        run_cli(root, "--metric", "linear/top")
    with pytest.raises(BadRequest, match="must end with"):
        run_cli(root, "--export", str(tmp_path / "x.xls"))
    with pytest.raises(BadRequest, match="no such folder"):
        run_cli(root / "none")
    with pytest.raises(BadRequest, match="leave out --group"):
        run_cli(root, "--group", "--export", str(tmp_path / "x.csv"))
    assert "matches seed=9" in run_cli(root, "seed=9").output


def test_exports_hold_the_same_rows(root, tmp_path):
    import pyarrow.parquet

    make_run(root, experiment="odd", config="loss: {temperature: none}\nlist: [1, 2]\n")
    run_cli(root, "--export", str(tmp_path / "runs.csv"))
    run_cli(root, "--export", str(tmp_path / "runs.parquet"))
    with open(tmp_path / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    table = pyarrow.parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert [r["experiment"] for r in rows] == ["odd", "toy", "toy", "toy", "toy", "toy_long"]
    assert [r["seed"] for r in table] == [int(r["seed"]) for r in rows] == [0, 0, 1, 2, 0, 0]
    assert rows[0]["config.list"] == "[1, 2]"
    for row, other in zip(rows, table, strict=True):
        assert list(row) == list(other)
        # A column of numbers and words is text in Parquet.
        assert (row["config.loss.temperature"] or None) == other["config.loss.temperature"]
        if row["linear/top1"]:
            assert float(row["linear/top1"]) == other["linear/top1"]
            assert float(row["cost/seconds"]) == 12.5


def test_light_commands_do_not_import_torch():
    code = (
        "import sys, ppr.cli.results, ppr.cli.plot, ppr.results.export, ppr.results.curves\n"
        "print(sorted({'torch', 'scipy', 'matplotlib', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The terminal


def test_result_table_has_a_column_a_stage():
    columns, rows = result_table(a_summary())
    assert columns == [
        "metric",
        "untrained",
        "last",
        "best (epoch 3, chosen by validation/knn/top1)",
    ]
    assert rows == [["linear/top1", 0.6, 0.9, None], ["knn/top1", None, 0.8, 0.7]]
    columns, rows = result_table({"metrics": {"gap": 1}, "best": None})
    assert (columns, rows) == (["metric", "last"], [["gap", 1.0]])


def test_plain_table_aligns(capsys):
    print_table(["name", "top1"], [["a [b]", 0.5], ["longer", None]], title="T")
    assert capsys.readouterr().out == "T\nname      top1\na [b]   0.5000\nlonger       -\n"
    assert plain_table(["a"], [], [False]) == "a"


def test_rich_table_keeps_brackets(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(["name", "linear/top1"], [["a [b]", 0.5]], styles={"a [b]": "red"})
    shown = capsys.readouterr().out
    assert "a [b]" in shown
    assert "0.5000" in shown
