"""A row's settings are what its recorded tuning runs choose: against a choice by brute force."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from claims_toy import TABLE, make_paper
from hypothesis import given
from hypothesis import strategies as st
from paper_toy import PAPER, invoke, known, write_configs
from signed import signed

from ppr.errors import BadRequest
from ppr.launchers import estimate
from ppr.papers.cells import Results, cells
from ppr.papers.claims import judge
from ppr.papers.files import load
from ppr.papers.kinds import described
from ppr.papers.schema import Paper
from ppr.papers.tuned import tuning_runs
from ppr.papers.tuning import told
from ppr.report.formats import as_json
from ppr.report.sheet import commands, fill, notes
from ppr.results.tree import Record, Scan

RATES = [0.01, 0.1, 1]
GRID = {"optimizer.lr": RATES}
SEEDS = (100, 101)
BETTER = {"b": {"test": "greater", "cells": ["t.A.x", "t.B.x"]}}

Values = Mapping[tuple[str, str, float], Sequence[float]]
"""Row, column, rate -> the validation value of each tuning seed."""


def resolve(words: Sequence[str]) -> tuple[str, str]:
    if any("absent" in word for word in words):
        raise BadRequest("absent: no such key")
    experiment, *rest = words
    variant = hashlib.sha256(" ".join(rest).encode()).hexdigest()[:10]
    return experiment.removeprefix("experiment="), variant


def record(words: Sequence[str], seed: int, value: float, metric: str = "top1") -> Record:
    best = {"epoch": 1, "chosen_by": f"validation/probe/{metric}", "value": value}
    shown = {"scale": "desk", "metrics": {"probe": {"top1": value, "nll": value}}, "best": best}
    experiment, variant = resolve(words)
    return Record(experiment, variant, seed, None, "finished", signed(shown), Path("paper.jsonl"))


def make(tune: Mapping[str, Any], **changes: Any) -> Paper:
    rows = {"A": "a", "B": "b"}
    given = {"rows": rows, "seeds": 2, "reported": None, "universes": "not: a toy"} | changes
    return make_paper(BETTER, tune=tune, **given)


def tree(values: Values, metric: str = "top1", but: int | None = None) -> Results:
    """The tuning runs of such values, one left out perhaps, and two seeds at every point."""
    tuning, shown = [], []
    for (row, column, rate), found in values.items():
        words = [f"experiment={row.lower()}_{column}", f"optimizer.lr={rate}"]
        tuning += [record(words, s, v, metric) for s, v in zip(SEEDS, found, strict=True)]
        shown += [record(words, seed, rate + seed / 100, metric) for seed in (0, 1)]
    kept = [each for at, each in enumerate(tuning) if at != but]
    return Results(resolve, Scan(kept + shown, []))


def flat(**by_row: Sequence[float]) -> Values:
    """The same value for both columns and seeds: row -> one a rate."""
    return {
        (row, column, rate): (value, value)
        for row, found in by_row.items()
        for column in "xy"
        for rate, value in zip(RATES, found, strict=True)
    }


INSIDE = flat(A=[0.5, 0.9, 0.4], B=[0.1, 0.2, 0.1])


@given(
    found=st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.7]), min_size=24, max_size=24),
    each=st.sampled_from(["row", "cell"]),
    metric=st.sampled_from(["top1", "nll"]),
)
def test_the_choice_is_that_of_brute_force(found: list[float], each: str, metric: str) -> None:
    places = itertools.product("AB", "xy", RATES)
    pairs = zip(found[::2], found[1::2], strict=True)
    values: Values = dict(zip(places, pairs, strict=True))
    results = tree(values, metric)
    table = make({"grid": GRID, "each": each}).tables["t"]
    for cell in cells("t", table):
        columns = "xy" if each == "row" else cell.column
        sums = {r: sum(sum(values[cell.row, c, r]) for c in columns) for r in RATES}
        best = min(sums.values()) if metric == "nll" else max(sums.values())
        filled = results.fill(cell)
        assert filled.choice is not None
        chosen = filled.choice.best
        assert chosen is not None
        assert chosen.mean == pytest.approx(best / (2 * len(columns)))
        rate = float(filled.words[-1].partition("=")[2])
        assert sums[rate] == pytest.approx(best)
        assert sorted(filled.samples.values()) == [rate, rate + 0.01]


def test_of_equal_points_the_first_is_chosen() -> None:
    paper = make({"grid": GRID})
    (choice, other) = fill(paper, "t", tree(flat(A=[0.1, 0.5, 0.5], B=[0.5, 0.5, 0.5]))).choices
    assert (choice.chosen, other.chosen) == ("optimizer.lr=0.1", "optimizer.lr=0.01")


@pytest.mark.parametrize("but", range(0, 24, 5))
def test_without_one_of_its_runs_a_row_has_no_cells(but: int) -> None:
    paper = make({"grid": GRID})
    results = tree(INSIDE, but=but)
    sheet = fill(paper, "t", results)
    lacking, whole = ("A", "B") if but < 12 else ("B", "A")
    for filled in sheet.places[lacking].values():
        assert filled.is_open
        assert not filled.samples
        assert not filled.variant
        assert "optimizer.lr=0.01,0.1,1 seed=100,101" in filled.command
    assert all(filled.samples for filled in sheet.places[whole].values())
    assert commands(sheet) == [(f"{lacking} (11 of 12 tuning runs)", "ppr reproduce paper/t")]
    assert any(f"Tuned, {lacking}: none yet" in note for note in notes(sheet))
    (verdict,) = judge(paper, results)
    assert verdict.outcome == "not run"
    assert verdict.reason == f"the tuning of {lacking} is not complete"


def test_an_edited_tuning_run_chooses_nothing() -> None:
    results = tree(INSIDE)
    paper = make({"grid": GRID})
    (first, *_) = tuning_runs(paper, results)
    forged = first.records[0]
    forged.summary["best"]["value"] = 1.0
    again = Results(
        resolve,
        Scan([forged, *(r for f in tuning_runs(paper, results) for r in f.records[1:])], []),
    )
    assert again.fill(cells("t", paper.tables["t"])[0]).is_open


def test_an_edge_counts_as_untuned() -> None:
    paper = make({"grid": GRID})
    (inside,) = judge(paper, tree(INSIDE))
    assert described(paper, inside) == inside.outcome
    results = tree(flat(A=[0.5, 0.6, 0.9], B=[0.1, 0.2, 0.1]))
    (found,) = judge(paper, results)
    assert described(paper, found).endswith(", untuned")
    assert found.reason.endswith("; untuned: at its grid's edge: A optimizer.lr=1")
    check = paper.claims["b"].model_copy(update={"kind": "identity"})
    (checked,) = judge(paper.model_copy(update={"claims": {"b": check}}), results)
    assert "untuned" not in checked.reason
    under = [note for note in notes(fill(paper, "t", results)) if note.startswith("Tun")]
    assert under == [
        "Tuning, for each row, over its columns: 3 points each, by the mean validation/probe/top1 "
        "(higher is better) of seeds 100, 101 (n=2).",
        "Tuned, A: optimizer.lr=1, at its grid's edge (0.01: 0.5; 0.1: 0.6; 1: 0.9)",
        "Tuned, B: optimizer.lr=0.1 (0.01: 0.1; 0.1: 0.2; 1: 0.1)",
    ]
    (table,) = json.loads(as_json([fill(paper, "t", results)]))["tables"]
    assert table["settings"] == "tuned"
    assert [each["chosen"] for each in table["tuning"]] == ["optimizer.lr=1", "optimizer.lr=0.1"]
    assert table["tuning"][0]["at_edge"] == ["optimizer.lr=1"]


@pytest.mark.parametrize(
    ("values", "chosen", "edge"),
    [
        ([0, 1, 2], 0, False),
        ([0, 1, 2], 2, True),
        ([1, 2, 3], 1, True),
        ([-1, 0, 1], 0, False),
        ([-1, 0, 1], -1, True),
        (["cosine", "step", "constant"], "cosine", False),
        ([True, False], True, False),
        ([None, 1, 2], 2, False),
    ],
)
def test_which_values_are_edges(values: list[Any], chosen: Any, edge: bool) -> None:
    """Of numbers the first and last, but 0 below which a field does not go."""
    paper = make({"grid": {"loss.what": values}}, columns={"x": "x"}, rows={"A": "a", "B": "b"})
    spelt = {json.dumps(v) if not isinstance(v, str) else v: v for v in values}
    records = [
        record([f"experiment={row}_x", f"loss.what={text}"], seed, float(v == chosen))
        for row in "ab"
        for text, v in spelt.items()
        for seed in SEEDS
    ]
    filled = Results(resolve, Scan(records, [])).fill(cells("t", paper.tables["t"])[0])
    assert filled.choice is not None
    assert bool(filled.choice.edges) == edge


def test_rows_have_grids_of_their_own_and_say_if_their_budget_is_larger() -> None:
    rows = {"A": "a", "B": "b", "C": "c", "D": "d", "E": {"value": "e", "settings": "none"}}
    own = {
        "B": {"also": {"loss.gamma": [1, 2]}},
        "C": {"instead": {"loss.margin": [0.1, 1]}},
        "D": {"fixed": "the rate of the released code"},
    }
    paper = make({"grid": GRID, "rows": own}, rows=rows)
    table = paper.tables["t"]
    points = {row: len(results_of(paper).choice(cell).tried) for row, cell in by_row(paper)}  # type: ignore[union-attr]
    assert points == {"A": 3, "B": 6, "C": 2}
    settings = {row: table.settings_of(row, "x") for row in rows}
    assert settings == {"A": "tuned", "B": "tuned", "C": "tuned", "D": "paper", "E": "none"}
    under = list(notes(fill(paper, "t", results_of(paper))))
    assert any(
        "not the same budget: 6 points for B; 3 points for A; 2 points for C" in n for n in under
    )
    assert "Not tuned, D: the rate of the released code." in under


def results_of(paper: Paper) -> Results:
    return Results(resolve, Scan([], []))


def by_row(paper: Paper) -> Iterator[tuple[str, Any]]:
    table = paper.tables["t"]
    for cell in cells("t", table):
        if cell.column == "x" and table.grid_of(cell.row, "x"):
            yield cell.row, cell


def test_cells_of_the_same_words_share_runs_and_choice() -> None:
    """Columns that show two metrics of one run."""
    columns = {"x": {"value": "x"}, "nll": {"value": "x", "metric": "probe/nll"}}
    paper = make({"grid": GRID, "each": "cell"}, columns=columns)
    results = Results(resolve, Scan([], []))
    assert len(tuning_runs(paper, results)) == 2 * 3
    (choice, _) = fill(paper, "t", results).choices
    assert choice.asked == 6
    assert told(choice).startswith("A, x, nll: none yet")


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no grid": ({}, {}, "tables.t.tune.grid: no row has any field"),
    "no values": ({"grid": {"optimizer.lr": []}}, {}, "optimizer.lr: no values"),
    "one point": ({"grid": {"optimizer.lr": [0.1]}}, {}, "tune.grid: A: one point, so there is no"),
    "a point twice": ({"grid": {"optimizer.lr": [0.1, 1, 0.1]}}, {}, "optimizer.lr: 0.1 is there"),
    "no field": ({"grid": {"lr": [1, 2]}}, {}, "lr: not a field, as optimizer.lr"),
    "seeds of the plan": ({"grid": GRID, "seeds": [1, 9]}, {}, "seeds: 1: of the table's own"),
    "seeds of a look": (
        {"grid": GRID, "seeds": [8, 9]}, {"looks": [5, 10], "seeds": 5}, "seeds: 8, 9: of the tab",
    ),
    "a seed twice": ({"grid": GRID, "seeds": [100, 100]}, {}, "one of them is there twice"),
    "no seed": ({"grid": GRID, "seeds": []}, {}, "tune.seeds"),
    "the test split": ({"grid": GRID, "metric": "probe/top1"}, {}, "is of the test split, or of n"),
    "the best epoch": ({"grid": GRID, "metric": "best/probe/top1"}, {}, "validation: validation/p"),
    "no such row": ({"grid": GRID, "rows": {"Z": {"fixed": "w"}}}, {}, "no row 'Z'; allowed: A, B"),
    "a row twofold": (
        {"grid": GRID, "rows": {"A": {"fixed": "w", "also": {"loss.a": [1]}}}}, {}, "one of `also`",
    ),
    "in the grid already": (
        {"grid": GRID, "rows": {"A": {"also": GRID}}}, {}, "optimizer.lr is in the grid of every r",
    ),
    "a row that says else": (
        {"grid": GRID, "rows": {"A": {"fixed": "w"}}},
        {"rows": {"A": {"value": "a", "settings": "none"}, "B": "b"}},
        "the row says `settings: none`",
    ),
    "what columns differ in": (
        {"grid": GRID}, {"columns": {"x": "x optimizer.lr=1"}}, "is what the columns differ in",
    ),
    "words of the grid": (
        {"grid": GRID, "words": "a.b=1 optimizer.lr=2"}, {}, "optimizer.lr is what the tuning runs",
    ),
    "a seed in words": ({"grid": GRID, "words": "seed=3"}, {}, "`words`: seed is what the tuning"),
    "said twice": ({"grid": GRID}, {"settings": "tuned"}, "beside `tune`, from which they follow"),
    "misspelt": ({"grids": GRID}, {}, "tables.t.tune.grids: no such key; did you mean 'grid'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    tune, changes, said = REFUSED[name]
    with pytest.raises(BadRequest) as error:
        make(tune, **changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_tuned_is_what_has_a_grid() -> None:
    with pytest.raises(BadRequest, match="without `tune`.*`tuned by hand`"):
        make_paper({}, **{**TABLE, "settings": "tuned"})


@pytest.mark.parametrize(
    ("tune", "said"),
    [
        ({"grid": {"loss.absent": [1, 2]}}, "tables.t.A.x tuned at loss.absent=1: absent: no such"),
        ({"grid": GRID, "metric": "validation/probe/top5"}, "no metric 'validation/probe/top5'"),
    ],
)
def test_a_field_or_metric_that_is_not_there(tune: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as error:
        fill(make(tune), "t", tree(INSIDE))
    assert said in str(error.value)


def test_two_points_of_one_run() -> None:
    def blind(words: Sequence[str]) -> tuple[str, str]:
        return "a", "0123456789"

    with pytest.raises(BadRequest, match=r"optimizer.lr=0.01 and optimizer.lr=0.1 are the same"):
        fill(make({"grid": GRID}), "t", Results(blind, Scan([], [])))


# --- the toy paper --------------------------------------------------------------------------------

TUNED = PAPER.replace(
    "    seeds: 2\n",
    "    seeds: 2\n"
    "    tune:\n"
    "      grid: {optimizer.lr: [0.001, 0.1, 0.5]}\n"
    "      words: dataset.validation=100 engine.monitor=classifier/top1 engine.evaluate_every=1\n",
    1,
).replace('"not: a toy"', '"not: a toy"')


@pytest.fixture(scope="module", name="made")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("tuned")
    configs, root = write_configs(home / "configs"), home / "results"
    (configs / "paper" / "toy.yaml").write_text(TUNED)
    with known(configs, root), pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "_measured", lambda configs: {})
        dry = invoke("reproduce", "toy", "--dry-run").output
        assert "toy, tuning: 12 runs, 0 done, 12 to do" in dry
        assert "toy: 4 runs, 0 done, 4 to do (4 once their rows are tuned)" in dry
        done = invoke("reproduce", "toy")
        assert done.exit_code == 0, done.output
        assert "Tuned, Fast: optimizer.lr=0.5, at its grid's edge (0.001: " in done.output
        invoke("publish", "toy", "--to", str(home / "published"))
    return configs, home / "published"


def lines(file: Path) -> list[dict[str, Any]]:
    from ppr.results.published import Reader

    reader = Reader()
    return [reader.whole(json.loads(line)) for line in file.read_text().splitlines()]


def is_tuning(run: Mapping[str, Any]) -> bool:
    return bool(run["summary"]["seed"] >= 100)


def invented(run: dict[str, Any]) -> dict[str, Any]:
    from ppr.config.compose import recorded
    from ppr.config.schema import check_config
    from ppr.results.tree import record_digest

    config = run["config"] | {"seed": 102}
    summary = run["summary"] | {"seed": 102, "run_id": recorded(check_config(config)).run_id}
    digest = record_digest(summary, config, run["environment"])
    return run | {"config": config, "summary": summary | {"digest": digest}}


def edited(run: dict[str, Any]) -> dict[str, Any]:
    best = run["summary"]["best"] | {"value": 0.999}
    return run | {"summary": run["summary"] | {"best": best}}


def at(change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Any:
    """A change of the first tuning run among the records."""

    def changed(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = next(run for run in runs if is_tuning(run))
        return [new for run in runs for new in (change(run) if run is first else [run])]

    return changed


TAMPERINGS: dict[str, tuple[Any, str]] = {
    "dropped": (at(lambda run: []), "tuned at optimizer.lr="),
    "edited": (at(lambda run: [edited(run)]), "its digest does not fit: it has been edited"),
    "invented": (at(lambda run: [run, invented(run)]), "published, but no cell asks for it"),
    "all dropped": (
        lambda runs: [run for run in runs if not is_tuning(run)],
        "seed=0: published, but no cell asks for it",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_with_tuning_runs_is_found(
    name: str, made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppr.results.published import encode

    change, said = TAMPERINGS[name]
    configs, published = made
    with known(configs, tmp_path):
        runs = lines(published / "toy.jsonl")
        assert sum(map(is_tuning, runs)) == 12
        assert len(runs) == 16
        assert len((published / "toy.jsonl").read_bytes()) < 16 * 3000
        (tmp_path / "toy.jsonl").write_text(encode(runs))
        assert invoke("verify", "toy").exit_code == 0
        (tmp_path / "toy.jsonl").write_text(encode(change(runs)))
        shown = invoke("verify", "toy")
        assert shown.exit_code == 1
        assert any(line.startswith("OFF") and said in line for line in shown.output.splitlines())


def test_a_run_that_watches_no_metric_is_refused_before_it_runs(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    configs = write_configs(tmp_path / "configs")
    blind = TUNED.replace("engine.monitor=classifier/top1 engine.evaluate_every=1", "")
    (configs / "paper" / "toy.yaml").write_text(blind)
    with known(configs, tmp_path / "results"):
        with pytest.raises(BadRequest, match="its runs measure nothing on the validation split"):
            invoke("reproduce", "toy", "--dry-run")
        other = TUNED.replace("      words:", "      metric: validation/knn/top1\n      words:")
        (configs / "paper" / "toy.yaml").write_text(other)
        assert load("toy", [configs / "paper"]).tables["main"].tune is not None
        with pytest.raises(BadRequest, match="its runs lack it; did you mean 'validation/classi"):
            invoke("reproduce", "toy", "--dry-run")
