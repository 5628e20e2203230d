"""Runs filtered, listed and exported."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from results_toy import VARIANT, a_summary, make_run

from ppr.cli.results import command
from ppr.config.places import run_path
from ppr.errors import BadRequest
from ppr.results import tree
from ppr.results.select import matches, select
from ppr.results.statistics import mean_interval
from ppr.results.tree import scan


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
    assert found.problems[0].reason.startswith("config.yaml:2: not YAML")


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
    head = ["experiment", "loss.temperature", "seed", "state"]  # the toy runs differ by seed
    assert shown[0].split()[:4] == head
    assert len(shown) == 1 + 4 + 1 + 2
    assert any("0.9000" in line and "12.5" in line for line in shown[1:5])
    assert shown[-2] == "1 problem, left out above:"
    assert "toy/0123456789/seed=1: summary.json: not JSON" in shown[-1]


def test_command_json_and_group(root):
    runs = json.loads(run_cli(root, "--json", "state=finished").output)
    assert sorted(run["seed"] for run in runs["runs"]) == [0, 0, 1, 2]
    assert runs["problems"] == []
    groups = json.loads(run_cli(root, "--json", "--group", "--metric", "linear/top1").output)
    expected = mean_interval([0.90, 0.91, 0.92])
    first, second = sorted(groups["groups"], key=lambda group: group["experiment"])
    assert first["seeds"] == [0, 1, 2]
    assert first["metrics"]["linear/top1"]["half_width"] == pytest.approx(expected.half_width)
    assert second["metrics"]["linear/top1"]["text"] == "0.9000 (n=1, no interval)"
    shown = run_cli(root, "--group").output
    assert str(expected) in shown
    assert "1 unfinished run left out" in shown


def published(root):
    """The runs of the tree as one published file, and none of them live."""
    file = root.parent / "toy.jsonl"
    run_cli(root, "state=finished", "--export", str(file))
    shutil.rmtree(root)
    root.mkdir()
    file.rename(root / "toy.jsonl")


def test_published_runs_are_shown_when_asked_for(root):
    published(root)
    make_run(root, experiment="mine")
    shown = run_cli(root).output
    assert [line.split()[0] for line in shown.splitlines()[1:2]] == ["mine"]
    assert "4 published runs not shown; published=true shows them" in shown
    assert run_cli(root, "published=true").output.count("in toy.jsonl") == 4
    assert len(json.loads(run_cli(root, "published=*", "--json").output)["runs"]) == 5
    assert "4 published runs not shown" in run_cli(root, "experiment=toy*").output
    with pytest.raises(BadRequest, match="published=yes: no such run; allowed: false, true"):
        run_cli(root, "published=yes")


def test_the_newest_comes_first(root):
    for at, seed in enumerate([1, 0, 2]):
        os.utime(run_path(root, "toy", VARIANT, seed) / tree.SUMMARY, (at, 1e9 + at))
    words = ["variant=" + VARIANT, "--json"]
    order = [run["seed"] for run in json.loads(run_cli(root, *words).output)["runs"]]
    assert order == [2, 0, 1]
    newest = json.loads(run_cli(root, *words, "--last", "2").output)["runs"]
    assert [run["seed"] for run in newest] == [2, 0]


def config(**more):
    fields = {"temperature": 0.1, "optimizer": "{name: sgd, lr: 0.1}", "synthetic": "null"} | more
    return (
        "task: {name: contrast}\ndataset: {name: digits}\n"
        f"loss: {{name: supcon, temperature: {fields['temperature']}}}\n"
        f"optimizer: {fields['optimizer']}\n"
        f"data: {{root: null, synthetic: {fields['synthetic']}}}\n"
        f"tracker: {fields.get('tracker', 'null')}\n"
    )


def test_a_column_for_each_key_that_tells_variants_apart(tmp_path):
    """Neither machinery, nor a default that one leaves away, nor other experiments' keys."""
    for at, told in enumerate([
        config(), config(temperature=0.5, tracker="{name: wandb}"),
        config(optimizer="{name: sgd, lr: 0.1, momentum: 0.9}"),
    ]):  # fmt: skip
        make_run(tmp_path, config=told, variant=f"{at}" * 10)
    make_run(tmp_path, config=config(optimizer="{name: sgd, lr: 7.0}"), experiment="other")
    head, *rows = run_cli(tmp_path, "--metric", "linear/top1").output.splitlines()
    assert head.split()[:3] == ["experiment", "loss.temperature", "seed"]
    assert head.split()[-1] == "variant"
    cells = [row.split() for row in rows]
    assert {(row[0], row[1], row[-1]) for row in cells} == {
        ("toy", "0.1", "0" * 10), ("toy", "0.5", "1" * 10), ("toy", "0.1", "2" * 10),
        ("other", "0.1", VARIANT),
    }  # fmt: skip


def test_numbers_of_random_data_are_marked(tmp_path):
    make_run(tmp_path, config=config(synthetic=64))
    assert "random data" in run_cli(tmp_path).output
    assert "toy (random data)" in run_cli(tmp_path, "--group").output
    make_run(tmp_path, config=config(), variant="1" * 10)
    assert run_cli(tmp_path).output.count("random data") == 1


def test_metrics_are_those_that_the_runs_have(tmp_path):
    for seed in range(3):
        make_run(tmp_path, seed=seed)
    odd = a_summary(experiment="odd", variant="1" * 10) | {"metrics": {"gap": {"bound": 0.25}}}
    make_run(tmp_path, odd, experiment="odd", variant="1" * 10)
    head, *_ = run_cli(tmp_path).output.splitlines()
    assert {"linear/top1", "gap/bound", "knn/top1"} < {*head.split()}


def test_the_runs_of_a_sweep(root):
    folder = root / ".sweeps" / "abc"
    folder.mkdir(parents=True)
    point = {"words": [], "experiment": "toy", "variant": VARIANT, "seed": 1, "run_id": "0" * 10}
    record = {"words": [], "points": [point], "plugins": [], "config_dirs": []}
    record["submissions"] = [{"time": "", "launcher": {"name": "local"}, "jobs": {"local": [0]}}]
    (folder / "sweep.json").write_text(json.dumps(record))
    for sweep in ("last", "ab"):
        runs = json.loads(run_cli(root, "--sweep", sweep, "--json").output)["runs"]
        assert [(run["experiment"], run["seed"]) for run in runs] == [("toy", 1)]
    with pytest.raises(BadRequest, match="no such sweep"):
        run_cli(root, "--sweep", "xyz")


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


def test_no_cell_of_an_export_is_a_formula(root, tmp_path):
    name = "=cmd|' /C calc'!A0"
    summary = a_summary(experiment="odd") | {"metrics": {name: 0.5}}
    make_run(root, summary, "loss: {name: '@SUM(A1)'}\n", experiment="odd")
    run_cli(root, "--export", str(tmp_path / "runs.csv"))
    with open(tmp_path / "runs.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert f"'{name}" in header
    assert "'@SUM(A1)" in rows[0]
    assert not [cell for row in (header, *rows) for cell in row if cell[:1] in ("=", "@", "+")]


def test_light_commands_do_not_import_torch():
    code = (
        "import sys, ppr.cli.results, ppr.cli.plot, ppr.results.export, ppr.results.curves\n"
        "print(sorted({'torch', 'scipy', 'matplotlib', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
