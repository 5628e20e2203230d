"""The results tree: what a scan trusts, published records, metrics, statistics."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from results_toy import FINITE, NAMES, VARIANT, a_summary, make_run

from ppr.config.places import results_root, run_path
from ppr.errors import BadRequest
from ppr.results import tree
from ppr.results.export import export
from ppr.results.files import write_json
from ppr.results.metrics import metrics, value
from ppr.results.statistics import Interval, mean_interval, t_quantile
from ppr.results.tree import Record, records, scan, state


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
    "later schema": (a_summary(schema=2, code={"version": "9.9"}), "schema 2, written by ppr 9.9"),
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
    if interval.half_width is None:
        assert max(values) - min(values) < 1e-9
    else:
        assert interval.half_width == pytest.approx((high - low) / 2 * bool(spread), abs=1e-9)


def test_interval_edges():
    assert mean_interval([0.5]) == Interval(0.5, None, 1)
    assert str(mean_interval([0.5])) == "0.5000 (n=1, no interval)"
    assert str(Interval(0.97553, 0.00213, 3)) == "0.9755 ± 0.0021 (n=3)"
    assert str(Interval(123.4, 56.0, 3)) == "123 ± 56 (n=3)"
    assert str(mean_interval([0.5] * 3)) == "0.5000 (n=3, all equal)"
    assert str(mean_interval([2000] * 5)) == "2000 (n=5, all equal)"
    assert str(Interval(1234.6, 567.0, 3)) == "1235 ± 567 (n=3)"
    assert str(Interval(1.25e-9, 3e-12, 3)) == "1.250e-09 ± 3.0e-12 (n=3)"
    assert t_quantile(4, 0.90) == pytest.approx(scipy.stats.t.ppf(0.95, 4))
    for values in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(ValueError, match="finite"):
            mean_interval(values)


# Filters, exports, the command
