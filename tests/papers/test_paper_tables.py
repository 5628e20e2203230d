"""A paper's tables: what fills a cell, and each format that they are rendered in."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from own_paper import TEXT, VARIANT, invoke, sheet, write_run
from own_paper_fixtures import own_papers, own_root  # noqa: F401

import ppr.cli.paper
import ppr.cli.papers
import ppr.cli.table
from ppr.errors import BadRequest
from ppr.papers.cells import Results
from ppr.report import formats
from ppr.report.sheet import commands, notes
from ppr.results.metrics import lower_is_better
from ppr.results.statistics import mean_interval
from ppr.results.tree import scan

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
    (papers / "mine.yaml").write_text(TEXT.replace("seeds: 3", "seeds: 10"))
    write_run(root, "a_small", 3, 0.1, scale="smoke")
    write_run(root, "a_small", 4, 0.1, metrics={"knn": {"top1": 0.9}})
    write_run(root, "a_small", 5, float("nan"))
    write_run(root, "a_small", 6, 0.1, schema=0)
    write_run(root, "a_small", 7, 0.1).write_text('{"schema": 1,')
    failed = root / "a_small" / VARIANT / "seed=8"
    failed.mkdir()
    (failed / "failure.json").write_text("{}")
    edited = write_run(root, "a_small", 9, 0.1)
    edited.write_text(edited.read_text().replace("0.1", "0.9"))
    filled = sheet(papers, root).places["A & B"]["10 %"]
    assert sorted(filled.samples) == [0, 1, 2]
    said = "\n".join(filled.notes)
    reasons = (
        "of scale smoke",
        "top1 is undefined",
        "is nan",
        "schema 0",
        "not JSON",
        "failed",
        "edited",
    )
    for seed, reason in enumerate(reasons, start=3):
        assert re.search(rf"seed={seed}\b.*{reason}.*: left out", said), (seed, said)
    assert len(filled.notes) == len(reasons)
    assert sum(note.startswith("Warning: ") for note in notes(sheet(papers, root))) >= len(reasons)


def test_seeds_that_the_table_does_not_ask_for_change_nothing(papers: Path, root: Path) -> None:
    """Whoever's runs lie in the tree, and however many more were tried."""
    before = sheet(papers, root).places["A & B"]["10 %"]
    write_run(root, "a_small", 3, 0.99)
    write_run(root, "a_small", -1, 0.99)
    after = sheet(papers, root).places["A & B"]["10 %"]
    assert after.interval == before.interval
    assert after.notes == (f"a_small/{VARIANT}: the table asks for 3: seed -1, 3 left out",)
    assert after.command == ""


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
        "A & B", f"{A_SMALL} *", "90.5", "+0.5", "50.0 (n=1, no interval)",
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


def test_what_is_undefined_is_a_dash_and_what_is_misspelt_is_refused(
    papers: Path, root: Path
) -> None:
    """Another run of the tree has the metric: its name is right."""
    for seed in range(3):
        shutil.rmtree(root / "a_small" / VARIANT / f"seed={seed}")
        write_run(root, "a_small", seed, 0.1, metrics={"knn": {"top1": 0.9}})
    filled = sheet(papers, root).places["A & B"]["10 %"]
    assert (filled.interval, filled.undefined) == (None, {0, 1, 2})
    assert not {0, 1, 2} & {*filled.missing_seeds}
    results = Results(lambda _: (filled.experiment, filled.variant), scan(root))
    with pytest.raises(BadRequest, match="no metric 'linear/topp' in its runs"):
        results.fill(dataclasses.replace(filled.cell, metric="linear/topp"))


@pytest.mark.parametrize(
    ("metric", "lower"),
    [("calibration/ece", True), ("linear/nll", True), ("error", True), ("adaptive_ece", True),
     ("linear/top1", False), ("lossless", False), ("loss/top1", False)],
)  # fmt: skip
def test_of_an_error_the_least_is_best(metric: str, lower: bool) -> None:
    assert lower_is_better(metric) is lower


def test_a_row_is_no_argument_of_the_line_before(papers: Path, root: Path) -> None:
    filled = sheet(papers, root)
    places = {"[0, 1]": filled.places["A & B"], "*starred": filled.places["A & B"]}
    written = formats.latex(dataclasses.replace(filled, places=places))
    assert "\n{}[0, 1] & " in written
    assert "\n{}*starred & " in written


def test_a_fragment_is_the_table_alone(papers: Path, root: Path) -> None:
    written = formats.latex(sheet(papers, root), fragment=True)
    assert written.startswith("\\begin{table}")
    assert written.rstrip().endswith("\\end{table}")
    assert "documentclass" not in written
    assert "\\label{tab:" in written
    assert written.count("tabular") == 2


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
