"""Papers as data: every shipped file, what the reader refuses, each format, the commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from own_paper import TEXT, invoke, mine, resolve, sheet, write_run
from own_paper_fixtures import own_papers, own_root  # noqa: F401
from well_written import assert_claims_stand_alone, assert_whole

import ppr.cli.paper
import ppr.cli.papers
import ppr.cli.table
from ppr.config import places
from ppr.config.compose import compose
from ppr.config.composed import Config
from ppr.config.places import config_file
from ppr.errors import BadRequest
from ppr.papers import board as boards
from ppr.papers import cache
from ppr.papers.cells import Cell, Results
from ppr.papers.files import find_all, folders, load, read, reference
from ppr.papers.index import indexed_cells
from ppr.report import formats
from ppr.report.sheet import fill
from ppr.results.tree import Scan, scan

SHIPPED = find_all(folders())


# --- the shipped catalogue ------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SHIPPED)
def test_every_shipped_paper_reads(slug: str) -> None:
    assert_whole(SHIPPED[slug])
    assert_claims_stand_alone(SHIPPED[slug])


def test_the_catalogue_is_whole() -> None:
    papers = [read(path) for path in SHIPPED.values()]
    assert len(papers) >= 323
    assert len({paper.title.lower() for paper in papers}) == len(papers)
    assert {"supcon", "focal", "apl_normalized_losses"} <= {p.slug for p in papers if p.tables}
    assert all(re.fullmatch(r"[a-z_]+", paper.family) for paper in papers)


def test_supcons_reported_values_are_the_repositorys() -> None:
    """Read from README.md of HobbitLong/SupContrast, lines 44-46 and 51-53."""
    table = load("supcon", folders()).tables["cifar"]
    assert table.reported is not None
    printed = {"SupCon": (96.0, 76.5), "SimCLR": (93.6, 70.7), "Cross-entropy": (95.0, 75.3)}
    for row, (ten, hundred) in printed.items():
        values = table.reported.values[row]
        assert (values["CIFAR-10"].value, values["CIFAR-100"].value) == (ten, hundred)


# --- refusals -------------------------------------------------------------------------------------

BAD = {
    "reported without a source": (
        '      source: "table_2 of B & C, {page} 7"\n',
        "",
        "tables.main.reported.source: missing",
    ),
    "an empty source": ('"table_2 of B & C, {page} 7"', '""', "tables.main.reported.source='': "),
    "reported row": ('      A & B: {"10 %"', '      A and B: {"10 %"', "no row 'A and B'; did you"),
    "reported column": (
        '{"10 %": 90.5}',
        '{"20 %": 90.5}',
        "no column '20 %'; did you mean '10 %'",
    ),
    "misspelt key": (
        "    metric: lin",
        "    metrik: lin",
        "tables.main.metrik: no such key; did you",
    ),
    "scale": (
        "scale: desk",
        "scale: smoke",
        "tables.main.scale='smoke': must be 'desk' or 'paper'",
    ),
    "placeholder": ("${row}_$", "${raw}_$", "unknown ${raw}; did you mean 'row'"),
    "claim's row": ("main.A & B,", "main.A and B,", "no row 'A and B'; did you mean 'A & B'"),
    "claim's table": ("[main.A & B", "[mein.A & B", "no table 'mein'; did you mean 'main'"),
    "claim's test": ("test: greater", "test: grater", "claims.better.test='grater': did you mean"),
    "claim's key": ("    says: a is", "    sais: a is", "claims.better.sais: no such key; did you"),
    "a key twice": (
        "family: contrastive",
        "family: f\nyear: 2021",
        "mine.yaml:4: 'year' stands there",
    ),
    "a table twice": ("claims:\n", "  main: {}\nclaims:\n", "'main' stands there twice"),
    "not YAML": ("year: 2020", "year: [", "not YAML"),
    "year": ("year: 2020", "year: soon", "year='soon': must be a valid integer"),
    "python": ("year: 2020", "year: !!python/object:os.system {}", "mine.yaml:2: the tag"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_refused_in_one_line(name: str, papers: Path) -> None:
    old, new, said = BAD[name]
    assert TEXT.count(old) >= 1
    (papers / "mine.yaml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises(BadRequest) as error:
        mine(papers)
    assert said in str(error.value)
    assert str(error.value).startswith(str(papers / "mine.yaml"))
    assert "\n" not in str(error.value)


def test_a_slug_there_twice_is_refused(papers: Path, tmp_path: Path) -> None:
    (papers / "theory").mkdir()
    (papers / "theory" / "mine.yaml").write_text(TEXT)
    with pytest.raises(
        BadRequest, match=r"paper 'mine' is there twice: .*mine.yaml and .*mine.yaml"
    ):
        find_all([papers])
    for name in ("Mine.yaml", "mine.yml"):
        other = tmp_path / name.replace(".", "_")
        other.mkdir()
        (other / name).write_text(TEXT)
        with pytest.raises(BadRequest, match=r"is named <slug>\.yaml, in lower case"):
            find_all([other])


def test_unknown_names_are_answered_with_the_nearest(papers: Path, root: Path) -> None:
    with pytest.raises(BadRequest, match="unknown paper 'mien': did you mean 'mine'"):
        load("mien", [papers])
    with pytest.raises(BadRequest, match="mine/mian: no table 'mian'; did you mean 'main'"):
        invoke(ppr.cli.table, "mine/mian")
    with pytest.raises(BadRequest, match="'planned' has no tables yet"):
        invoke(ppr.cli.table, "planned")
    with pytest.raises(BadRequest, match="--family theery: did you mean 'theory'"):
        invoke(ppr.cli.papers, "--family", "theery")


def test_a_missing_experiment_or_metric_is_named(papers: Path, root: Path) -> None:
    (papers / "mine.yaml").write_text(TEXT.replace('"x_y|z": large', '"x_y|z": absent'))
    with pytest.raises(BadRequest, match=r"tables.main.A & B.x_y\|z: experiment=a_absent: no such"):
        sheet(papers, root)
    (papers / "mine.yaml").write_text(TEXT.replace("metric: linear/top1", "metric: linaer/top1"))
    with pytest.raises(
        BadRequest, match=r"no metric 'linaer/top1' in its runs; did you mean 'linear"
    ):
        sheet(papers, root)


# --- commands -------------------------------------------------------------------------------------


def test_paper_shows_claims_with_verdicts_files_and_cost(papers: Path, root: Path) -> None:
    for seed, value in enumerate((0.49, 0.51), start=1):
        write_run(root, "a_large", seed, value)
    for seed, value in enumerate((0.30, 0.31, 0.32)):
        write_run(root, "b_large", seed, value)
    text = invoke(ppr.cli.paper, "mine").output
    assert re.search(r"better +finding +desk +reproduced, untuned +a is better", text)
    files = json.loads(invoke(ppr.cli.paper, "mine", "--json").output)["files"]
    assert any(file.endswith("ppr/losses/contrastive/supcon.py") for file in files)
    assert f"file: {files[0]}; --json lists" in text
    assert "mine/main  desk   3 × 2" in text
    assert "experiments: a_large, a_small, b_large, b_small" in text
    shown = json.loads(invoke(ppr.cli.paper, "mine", "--json").output)
    assert shown["verdicts"][0]["outcome"] == "reproduced"
    assert shown["cost"][0]["seconds_each"] == 30
    assert shown["problems"] == []


def test_paper_can_be_read_before_its_experiments_come(papers: Path, root: Path) -> None:
    (papers / "mine.yaml").write_text(TEXT.replace('"x_y|z": large', '"x_y|z": absent'))
    text = invoke(ppr.cli.paper, "mine").output
    assert "yet to come: tables.main.A & B.x_y|z: experiment=a_absent: no such experiment" in text
    assert re.search(r"better +finding +desk +not run, untuned", text)
    text = invoke(ppr.cli.papers).output
    assert re.search(r"mine +2020 +contrastive +planned +- +desk: 1 not run", text)
    assert "mine: tables.main.A & B.x_y|z: experiment=a_absent: no such experiment" in text


def test_papers_lists_the_planned_too(papers: Path, root: Path) -> None:
    text = invoke(ppr.cli.papers).output
    assert re.search(r"mine +2020 +contrastive +desk +- +desk: 1 not run", text)
    assert re.search(r"planned +2021 +theory +planned +- +-", text)
    assert "2 papers, 1 implemented, 1 planned" in text
    shown = json.loads(invoke(ppr.cli.papers, "--family", "theory", "--json").output)
    assert [paper["slug"] for paper in shown["papers"]] == ["planned"]


def test_standings_are_kept_until_something_changes(papers: Path, root: Path) -> None:
    asked = []

    def counted(overrides: Sequence[str]) -> tuple[str, str]:
        asked.append(overrides)
        return resolve(overrides)

    def stand() -> tuple[boards.Standing, int]:
        asked.clear()
        found = {paper.slug: s for paper, s in boards.board([papers], root, counted)}
        return found["mine"], len(asked)

    first, work = stand()
    assert (first.verdicts["desk"]["finding"], first.reached) == ({"not run": 1}, None)
    assert work > 0
    again, work = stand()
    assert (again.verdicts["desk"]["finding"], again.reached, work) == ({"not run": 1}, None, 0)
    write_run(root, "unrelated", 0, 0.5)
    assert stand()[1] == 0
    for seed, value in enumerate((0.30, 0.31, 0.32)):
        write_run(root, "b_large", seed, value)
    changed, work = stand()
    assert (changed.reached, work > 0) == ("desk", True)
    (papers / "mine.yaml").write_text(TEXT.replace("seeds: 3", "seeds: 4"))
    assert stand()[1] > 0


def test_variants_are_composed_once_until_a_file_behind_them_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(overrides: Sequence[str]) -> Config:
        asked.append(overrides)
        return compose(overrides)

    file = tmp_path / "own" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    text = config_file("experiment/focal_formula").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(places, "_own_folders", [tmp_path / "own"])
    monkeypatch.setenv("PPR_CACHE", str(tmp_path / "cache"))
    words = ("experiment=mine",)
    for _ in range(2):
        variants = cache.Variants(counted)
        assert variants(words) == ("mine", compose(words).variant)
        assert asked == [words]
    with pytest.raises(BadRequest):
        variants(("experiment=absent",))
    (file.parent / "unrelated.yaml").write_text(text, encoding="utf-8")
    assert cache.Variants(counted)(words)[0] == "mine"
    assert len(asked) == 2
    file.write_text(f"{text}\n# a word more\n", encoding="utf-8")
    assert cache.Variants(counted)(words)[0] == "mine"
    assert len(asked) == 3


def test_the_index_of_cells_is_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If not: `ppr publish SLUG`, or python scripts/index_cells.py for all."""
    monkeypatch.setenv("PPR_CACHE", str(tmp_path))
    known = cache.Variants(compose).known
    results = Results(cache.Variants(compose), scan(Path(__file__).parents[2] / "results"))
    asked = {
        json.dumps(list(results.words(cell)))
        for path in SHIPPED.values()
        if reference(path).has_tables
        for cell in indexed_cells(read(path), results)[0]
    }
    assert asked == set(known)
    sample = sorted(asked)[:: max(1, len(asked) // 8)]
    for words in sample:
        config = compose(json.loads(words))
        assert known[words] == (config.experiment, config.variant)


def test_a_torn_cache_costs_time_not_the_answer(papers: Path, root: Path) -> None:
    boards.board([papers], root, resolve)
    (kept,) = (Path(os.environ["PPR_CACHE"]) / "papers").iterdir()
    kept.write_text('{"')
    assert len(boards.board([papers], root, resolve)) == 2


def test_listing_imports_nothing_heavy(root: Path) -> None:
    """Warm, `ppr papers` needs neither torch nor what composes and tests."""
    code = (
        "import sys, ppr.cli.papers as p; p.command(['--family', 'theory_numerics'],"
        " standalone_mode=False); print([m for m in"
        " ('torch', 'hydra', 'scipy', 'numpy', 'pydantic') if m in sys.modules])"
    )
    here = str(Path(ppr.__file__).parent.parent)
    for _ in range(2):  # the first composes what the second finds kept
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": here},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_empty_tree_is_no_error(papers: Path, tmp_path: Path) -> None:
    results = Results(resolve, Scan([], []))
    paper = mine(papers)
    assert all(not filled.samples for filled in fill(paper, "main", results).cells)
    cell = Cell("main", paper.tables["main"], "A & B", "10 %", "linear/top1")
    assert results.fill(cell).command == "ppr run -m experiment=a_small loss.name=a seed=0,1,2"


def test_every_format_renders_every_shipped_table() -> None:
    """Without runs, and whether or not the experiments have come yet."""
    results = Results(lambda overrides: ("e", str(overrides)), Scan([], []))
    for path in SHIPPED.values():
        if not reference(path).has_tables:
            continue
        paper = read(path)
        sheets = [fill(paper, name, results) for name in paper.tables]
        for found in sheets:
            text = formats.html_page(found) + formats.markdown(found) + formats.latex(found)
            assert found.paper.slug in text
        assert len(json.loads(formats.as_json(sheets))["tables"]) == len(sheets)
        assert len(formats.as_csv(sheets).splitlines()) == 1 + sum(len(s.cells) for s in sheets)


TABLE = {
    "title": "T", "scale": "desk", "metric": "knn/top1", "rows": {"A": "supcon"}, "seeds": 2,
    "columns": {"B": "digits"}, "cell": "experiment=${row}_${column}",
    "reported": {"source": "s", "A": {"B": 1.5}},
}  # fmt: skip
CLAIM = {"says": "s", "kind": "finding", "test": "greater", "cells": ["t.A"], "than": 1.0}
UNFIT = {
    "an open quote": ({"cell": "experiment='x"}, {}, "no closing quotation"),
    "an infinite value": ({"reported": {"source": "s", "A": {"B": float("inf")}}}, {}, "finite"),
    "no number": ({}, {"c": {**CLAIM, "than": float("nan")}}, "finite"),
    "a thousand million seeds": ({"seeds": 10**9}, {}, "seeds"),
    "claims a number": ({}, 5, "claims=5"),
    "claims a list": ({}, ["a"], "claims"),
    "rows a list": ({"rows": ["A"]}, {}, "rows"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_no_table_could_hold_is_refused(name: str) -> None:
    from ppr.papers.schema import parse

    change, claims, says = UNFIT[name]
    head = {"title": "A", "year": 2020, "family": "f", "url": "https://a.org"}
    assert parse({**head, "tables": {"t": TABLE}, "claims": {"c": CLAIM}}, "a", "a.yaml").claims
    with pytest.raises(BadRequest, match=r"^a\.yaml: ") as refusal:
        parse({**head, "tables": {"t": {**TABLE, **change}}, "claims": claims}, "a", "a.yaml")
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
