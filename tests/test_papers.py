"""Papers as data: every shipped file, what the reader refuses, each format, the commands."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import ppr.cli.paper
import ppr.cli.papers
import ppr.cli.table
from ppr.config import places
from ppr.config.compose import Config, compose
from ppr.config.places import shipped_configs
from ppr.errors import BadRequest
from ppr.papers import board as boards
from ppr.papers import cache
from ppr.papers.cells import Cell, Results, cells
from ppr.papers.files import find_all, folders, load, read, reference
from ppr.papers.schema import Paper
from ppr.report import formats
from ppr.report.sheet import Sheet, commands, fill, notes
from ppr.results.statistics import mean_interval
from ppr.results.tree import Scan, scan

SHIPPED = find_all(folders())
VARIANT = "0123456789"


# --- the shipped catalogue ------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SHIPPED)
def test_every_shipped_paper_reads(slug: str) -> None:
    path = SHIPPED[slug]
    paper, head = read(path), reference(path)
    assert (paper.slug, paper.title, paper.year, paper.family) == (
        head.slug,
        head.title,
        head.year,
        head.family,
    )
    assert head.has_tables == bool(paper.tables)
    assert paper.method
    assert paper.claims_in_words
    assert paper.claims or not paper.tables
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert re.fullmatch(r"[a-z0-9_]+", slug)


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


# --- a paper of our own ---------------------------------------------------------------------------

TEXT = """\
title: A & B_1 <i>in</i> 50 % of $x
year: 2020
family: contrastive
method: words
claims_in_words: [a is better]
tables:
  main:
    title: "Top-1 | <script>alert(1)</script> #1"
    scale: desk
    metric: linear/top1
    unit: "%"
    rows: {A & B: a, "C_1 <b>": b, Untrained: {value: a, metric: "untrained/${metric}"}}
    columns: {"10 %": small, "x_y|z": large}
    cell: experiment=${row}_${column} loss.name=${row}
    seeds: 3
    protocol: {epoch: last, stem: 3x3}
    reported:
      source: "table_2 of B & C, {page} 7"
      selection: best test epoch
      A & B: {"10 %": 90.5}
claims:
  better:
    says: a is better
    test: greater
    cells: [main.A & B, main.C_1 <b>]
"""


def resolve(overrides: Sequence[str]) -> tuple[str, str]:
    experiment = overrides[0].removeprefix("experiment=")
    if experiment.endswith("_absent"):
        raise BadRequest(f"experiment={experiment}: no such experiment")
    return experiment, VARIANT


@pytest.fixture
def papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "configs" / "paper"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(TEXT)
    (folder / "planned.yaml").write_text("title: P\nyear: 2021\nfamily: theory\nmethod: m\n")
    for module in (ppr.cli.papers, ppr.cli.paper, ppr.cli.table):
        monkeypatch.setattr(module, "folders", lambda: [folder])
        monkeypatch.setattr(module, "resolve", resolve)
    monkeypatch.setattr(ppr.cli.paper, "_files", lambda filled: ["ppr/losses/supcon.py"])
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "results"
    monkeypatch.setenv("PPR_RESULTS", str(where))
    for seed, value in enumerate((0.90, 0.92, 0.91)):
        write_run(where, "a_small", seed, value)
        write_run(where, "b_small", seed, value - 0.2 - 0.01 * seed)
    write_run(where, "a_large", 0, 0.5)
    return where


def write_run(root: Path, experiment: str, seed: int, value: float, **changes: object) -> Path:
    path = root / experiment / VARIANT / f"seed={seed}" / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    summary = {
        "schema": 1,
        "experiment": experiment,
        "variant": VARIANT,
        "seed": seed,
        "scale": "desk",
        "metrics": {"linear": {"top1": value}},
        "untrained": {"linear": {"top1": value / 2}},
        "best": None,
        "protocol": {"epochs": 100, "views": 2 if experiment == "a_small" else 1},
        "cost": {"seconds": 30.0},
        **changes,
    }
    path.write_text(json.dumps(summary))
    return path


def mine(papers: Path) -> Paper:
    return load("mine", [papers])


def sheet(papers: Path, root: Path) -> Sheet:
    return fill(mine(papers), "main", Results(resolve, scan(root)))


def invoke(module: object, *words: str) -> Result:
    return CliRunner().invoke(module.command, words, catch_exceptions=False)  # type: ignore[attr-defined]


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
    "a key twice": ("family: contrastive", "family: f\nyear: 2021", "line 4: 'year' stands there"),
    "a table twice": ("claims:\n", "  main: {}\nclaims:\n", "'main' stands there twice"),
    "not YAML": ("year: 2020", "year: [", "not YAML"),
    "year": ("year: 2020", "year: soon", "year='soon': must be a valid integer"),
    "python": ("year: 2020", "year: !!python/object:os.system {}", "not YAML"),
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


# --- cells ----------------------------------------------------------------------------------------


def test_a_cell_is_the_mean_of_its_finished_runs(papers: Path, root: Path) -> None:
    filled = sheet(papers, root).places["A & B"]["10 %"]
    assert filled.samples == pytest.approx({0: 90.0, 1: 92.0, 2: 91.0})
    assert filled.interval == mean_interval([90.0, 92.0, 91.0])
    assert filled.difference == pytest.approx(91.0 - 90.5)
    assert filled.cell.overrides == ("experiment=a_small", "loss.name=a")
    untrained = sheet(papers, root).places["Untrained"]["10 %"]
    assert untrained.samples == pytest.approx({0: 45.0, 1: 46.0, 2: 45.5})
    assert untrained.cell.metric == "untrained/linear/top1"


def test_what_is_left_out_is_noted_and_never_averaged_in(papers: Path, root: Path) -> None:
    write_run(root, "a_small", 3, 0.1, scale="smoke")
    write_run(root, "a_small", 4, 0.1, metrics={"knn": {"top1": 0.9}})
    write_run(root, "a_small", 5, float("nan"))
    write_run(root, "a_small", 6, 0.1, schema=0)
    write_run(root, "a_small", 7, 0.1).write_text('{"schema": 1,')
    failed = root / "a_small" / VARIANT / "seed=8"
    failed.mkdir()
    (failed / "failure.json").write_text("{}")
    filled = sheet(papers, root).places["A & B"]["10 %"]
    assert sorted(filled.samples) == [0, 1, 2]
    said = "\n".join(filled.notes)
    reasons = ("of scale smoke", "has no linear/top1", "is nan", "schema 0", "not JSON", "failed")
    for seed, reason in enumerate(reasons, start=3):
        assert re.search(rf"seed={seed}\b.*{reason}.*: left out", said), (seed, said)
    assert len(filled.notes) == len(reasons)
    assert sum(note.startswith("Warning: ") for note in notes(sheet(papers, root))) >= len(reasons)


def test_missing_seeds_come_with_their_command(papers: Path, root: Path) -> None:
    missing = commands(sheet(papers, root))
    # The untrained row reads the same runs as the first, so one command fills both.
    large = "ppr run -m experiment=a_large loss.name=a seed=1,2"
    assert ("A & B, x_y|z (1 of 3 seeds); Untrained, x_y|z (1 of 3 seeds)", large) in missing
    none = "ppr run -m experiment=b_large loss.name=b seed=0,1,2"
    assert ("C_1 <b>, x_y|z (0 of 3 seeds)", none) in missing
    assert len(missing) == 2


def test_the_protocol_and_the_flag_stand_under_the_table(papers: Path, root: Path) -> None:
    said = list(notes(sheet(papers, root)))
    assert "Scale: desk. Metric: linear/top1, untrained/linear/top1 in %." in said
    assert "Protocol: epoch: last; stem: 3x3." in said
    assert "Recorded by the runs: epochs: 100." in said
    assert "The runs differ in: views: 2 / 1." in said
    assert "Reported: table_2 of B & C, {page} 7." in said
    assert any("best test epoch, chosen on the test set" in line for line in said)


# --- formats --------------------------------------------------------------------------------------

A_SMALL = "91.0 ± 2.5 (n=3)"


def test_terminal(papers: Path, root: Path) -> None:
    shown = invoke(ppr.cli.table, "mine").output
    (line,) = [line for line in shown.splitlines() if re.match(r"A & B\s{2,}", line)]
    assert re.split(r"\s{2,}", line) == [
        "A & B", f"{A_SMALL} *", "90.5", "+0.5", "50.0 (n=1, no interval) *",
    ]  # fmt: skip


def test_markdown(papers: Path, root: Path) -> None:
    text = invoke(ppr.cli.table, "mine", "--format", "md").output
    rows = [line for line in text.splitlines() if line.startswith("|")]
    # A pipe that is not escaped would be one more column.
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    assert rows[0] == "|  | 10 % | reported | difference | x\\_y\\|z |"
    assert rows[2].startswith(f"| A \\& B | **{A_SMALL}** | 90.5 | +0.5 |")
    assert "<script>" not in text.replace("\\<script\\>", "")


def test_latex(papers: Path, root: Path, tmp_path: Path) -> None:
    text = invoke(ppr.cli.table, "mine/main", "--format", "latex").output
    assert r"A \& B & \textbf{91.0 $\pm$ 2.5 (n=3)} & 90.5 & +0.5 &" in text
    assert r"\multicolumn{3}{c}{10 \%} & \multicolumn{1}{c}{x\_y\textbar{}z}" in text
    write_run(root, "a_small", 0, 0.88)
    assert "& $-$0.2 &" in invoke(ppr.cli.table, "mine", "--format", "latex").output
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    rows = [row for row in body.splitlines() if row.endswith(r"\\")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {4}
    assert re.sub(r"\\[{}]", "", text).count("{") == re.sub(r"\\[{}]", "", text).count("}")
    if shutil.which("pdflatex"):
        (tmp_path / "t.tex").write_text(text)
        call = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-800:]


def test_latex_text_has_no_character_that_its_fonts_lack() -> None:
    text = formats.tex(r"50 % & #1 {a_b} ~ ^ \x < > | ± × τ é ł 数 ½ “q”")
    assert text == (
        r"50 \% \& \#1 \{a\_b\} \textasciitilde{} \textasciicircum{} \textbackslash{}x"
        r" \textless{} \textgreater{} \textbar{} $\pm$ $\times$ $\tau$ é [U+0142] [U+6570]"
        r" 12 ``q''"
    )


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html(papers: Path, root: Path) -> None:
    text = invoke(ppr.cli.table, "mine", "--format", "html").output
    page = _Tags()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.seen
    assert "b" not in page.seen
    assert "<script>alert(1)</script>" in page.text
    assert f"<strong>{A_SMALL}</strong>" in text
    assert 'scope="row">A &amp; B<' in text
    assert not re.search(r"https?://|src=|@import", text)


def test_csv_and_json_hold_every_cell(papers: Path, root: Path) -> None:
    rows = list(
        csv.DictReader(io.StringIO(invoke(ppr.cli.table, "mine", "--format", "csv").output))
    )
    cells = json.loads(invoke(ppr.cli.table, "mine", "--format", "json").output)["tables"][0][
        "cells"
    ]
    assert [(r["row"], r["column"]) for r in rows] == [(c["row"], c["column"]) for c in cells]
    assert len(cells) == 6
    first = cells[0]
    interval = mean_interval([90.0, 92.0, 91.0])
    assert first["mean"] == pytest.approx(interval.mean)
    assert first["half_width"] == pytest.approx(interval.half_width)
    assert (first["n"], first["seeds"], first["reported"]) == (3, [0, 1, 2], 90.5)
    assert float(rows[0]["mean"]) == pytest.approx(interval.mean)
    assert cells[3]["mean"] is None
    assert rows[3]["mean"] == ""


def test_csv_text_is_no_formula(papers: Path, root: Path) -> None:
    (papers / "mine.yaml").write_text(TEXT.replace("Untrained: {", '"=1+1": {'))
    text = invoke(ppr.cli.table, "mine", "--format", "csv").output
    assert ",'=1+1," in text


def test_runs_prints_the_directories(papers: Path, root: Path) -> None:
    text = invoke(ppr.cli.table, "mine", "--runs").output
    for seed in range(3):
        assert str(root / "a_small" / VARIANT / f"seed={seed}") in text


def test_an_interval_is_never_rounded_away(papers: Path, root: Path) -> None:
    for seed, value in enumerate((0.90, 0.90001, 0.90002)):
        write_run(root, "a_small", seed, value)
    assert "90.001 ± 0.002 (n=3)" in invoke(ppr.cli.table, "mine").output


# --- commands -------------------------------------------------------------------------------------


def test_paper_shows_claims_with_verdicts_files_and_cost(papers: Path, root: Path) -> None:
    for seed, value in enumerate((0.49, 0.51), start=1):
        write_run(root, "a_large", seed, value)
    for seed, value in enumerate((0.30, 0.31, 0.32)):
        write_run(root, "b_large", seed, value)
    text = invoke(ppr.cli.paper, "mine").output
    assert re.search(r"better +desk +reproduced +a is better", text)
    assert "ppr/losses/supcon.py" in text
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
    assert re.search(r"better +desk +not run", text)
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
    assert (dict(first.verdicts["desk"]), first.reached) == ({"not run": 1}, None)
    assert work > 0
    again, work = stand()
    assert (dict(again.verdicts["desk"]), again.reached, work) == ({"not run": 1}, None, 0)
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
    text = (shipped_configs() / "experiment" / "focal_formula.yaml").read_text(encoding="utf-8")
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
    asked = {
        json.dumps(list(cell.overrides))
        for path in SHIPPED.values()
        for name, table in (read(path).tables.items() if reference(path).has_tables else ())
        for cell in cells(name, table)
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
        " ('torch', 'hydra', 'scipy', 'numpy', 'pydantic', 'rich') if m in sys.modules])"
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
    results = Results(lambda overrides: ("e", VARIANT), Scan([], []))
    for path in SHIPPED.values():
        if not reference(path).has_tables:
            continue
        paper = read(path)
        sheets = [fill(paper, name, results) for name in paper.tables]
        for found in sheets:
            text = formats.html_page(found) + formats.markdown(found) + formats.latex(found)
            assert found.paper.slug in text
        assert len(yaml.safe_load(formats.as_json(sheets))["tables"]) == len(sheets)
        assert len(formats.as_csv(sheets).splitlines()) == 1 + sum(len(s.cells) for s in sheets)
