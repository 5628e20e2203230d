"""Tables along an axis: what is drawn of them, on the terminal, into a file and on the site."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from ppr.cli.plot import command
from ppr.config.compose import compose
from ppr.config.places import results_root
from ppr.display.plot import Panel, draw
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.papers.cells import Results
from ppr.papers.claims import judge
from ppr.papers.schema import Paper, parse
from ppr.report.axis import axis_panel
from ppr.report.sheet import Sheet, fill, reproduced
from ppr.report.site_chart import axis_chart
from ppr.results.curves import Curve
from ppr.results.tree import scan

TABLE = {
    "title": "Cosines",
    "scale": "desk",
    "metric": "positive",
    "axis": "temperature t",
    "quantity": "cosine",
    "best": "none",
    "rows": {
        "measured": {"metric": "measured/${metric}"},
        "theory": {"metric": "theory/${metric}"},
        "other": {"metric": "measured/negative"},
    },
    "columns": {"hot": "2.0", "cold": "0.1"},
    "cell": "experiment=ccem_infonce task.pairs=4 loss.temperature=${column}",
    "seeds": 2,
}
CLAIM: dict[str, object] = {
    "kind": "finding",
    "says": "so it is",
    "test": "exact",
    "cells": ["t.measured", "t.theory"],
}


def paper(**changes: object) -> Paper:
    document = {"title": "A paper", "year": 2020, "family": "toy", "tables": {"t": TABLE | changes}}
    rows = document["tables"]["t"]["rows"]  # type: ignore[index]
    claims = {"c": CLAIM | {"precision": 1e-6}} if "measured" in rows else {}
    return parse(document | {"claims": claims}, "toy", "toy.yaml")


def resolve(words: object) -> tuple[str, str]:
    config = compose([*words])  # type: ignore[misc]
    return config.experiment, config.variant


@pytest.fixture
def sheet(own_folders: Path) -> Sheet:
    for t, seed in (("2.0", 0), ("2.0", 1), ("0.1", 0), ("0.1", 1)):
        words = TABLE["cell"].replace("${column}", t).split()  # type: ignore[attr-defined]
        execute(compose([*words, f"seed={seed}"]))
    return fill(paper(), "t", Results(resolve, scan(results_root(None))))


def test_theory_is_a_line_and_what_is_measured_points(sheet: Sheet) -> None:
    panel = axis_panel(sheet)
    assert panel
    found = [(c.label, c.style, c.index, c.x) for c in panel.curves]
    x = [0.1, 2.0]  # the columns in the order of their numbers
    [(*theory, smooth), *found] = found
    assert theory == ["theory", "line", 0]
    assert len(smooth) > 50
    assert (smooth[0], smooth[-1]) == (0.1, 2.0)
    assert found == [
        ("measured", "points", 0, x),  # the colour of its theory
        ("other", "points", 1, x),
    ]
    assert (panel.axis, panel.metric, panel.title) == ("temperature t", "cosine", "Cosines")
    assert (panel.curves[1].n, len(panel.curves[1].half_width or [])) == (2, 2)


def test_claims_hold_what_is_measured_against_theory(sheet: Sheet) -> None:
    (verdict,) = judge(sheet.paper, Results(resolve, scan(results_root(None))))
    assert verdict.outcome == "reproduced"


def test_no_axis_and_no_runs_draw_nothing(own_folders: Path) -> None:
    nothing = Results(resolve, scan(results_root(None)))
    assert axis_panel(fill(paper(), "t", nothing)) is None
    assert axis_panel(fill(paper(axis=None, quantity=None), "t", nothing)) is None


OPTIMUM = {
    "rows": {"theory": {"metric": "theory/${metric}"}},
    "cell": "experiment=ccem_optimum task.pairs=10 loss.temperature=${column} loss.bias=-${column}",
}


def test_theory_is_the_closed_form_between_the_columns_too(own_folders: Path) -> None:
    """Of ten pairs: antipodal up to log((N-2)/2)/2, a simplex from (N-1)/N log(N-3), derived."""
    for t in ("2.0", "0.1"):
        words = OPTIMUM["cell"].replace("${column}", t).split()  # type: ignore[attr-defined]
        execute(compose([*words, "task.steps=1"]))
    steps = {**OPTIMUM, "cell": f"{OPTIMUM['cell']} task.steps=1"}
    panel = axis_panel(fill(paper(**steps), "t", Results(resolve, scan(results_root(None)))))
    assert panel
    (curve,) = panel.curves
    cold, hot = math.log(4) / 2, 0.9 * math.log(7)
    for t, s in zip(curve.x, curve.y, strict=True):
        assert (s == -1.0) == (t <= cold)
        assert (s == 1.0) == (t >= hot)
    assert sum(cold < t < hot for t in curve.x) > 10


def test_only_values_that_a_field_takes_are_drawn(own_folders: Path) -> None:
    """Columns of a power of two: what lies between them is no number of columns."""
    cell = "experiment=looped_pointer task.lam=4.0 task.columns=${column}"
    for columns in (16, 64):
        execute(compose(cell.replace("${column}", str(columns)).split()))
    rows = {"theory": {"metric": "theory/wrong"}}
    given = paper(rows=rows, columns={"16": "16", "64": "64"}, cell=cell)
    panel = axis_panel(fill(given, "t", Results(resolve, scan(results_root(None)))))
    assert panel
    assert set(panel.curves[0].x) <= {16, 32, 64}


def test_columns_of_an_axis_are_numbers() -> None:
    with pytest.raises(BadRequest, match=r"tables\.t\.columns\.x: must be a number"):
        paper(columns={"x": "warm"})
    assert paper(columns={"3": ""}).tables["t"].axis


def test_nothing_is_best_where_the_table_says_so(sheet: Sheet) -> None:
    assert not any(sheet.is_best(cell) for cell in sheet.cells)


def test_tiny_intervals_are_written_short(sheet: Sheet) -> None:
    interval = sheet.places["measured"]["cold"].interval
    assert interval
    assert 0 < (interval.half_width or 0) < 1e-7
    assert reproduced(sheet.places["measured"]["cold"]) == "1.000 ± <0.001 (n=2)"


def test_points_are_letters_over_the_line() -> None:
    line = Curve(0, "theory", [0, 1, 2], [0, 1, 2], None, 1, "line")
    points = Curve(0, "measured", [0, 2], [0, 2], [0.1, 0.1], 3, "points")
    text = draw(Panel("m", "x", [line, points]), width=40, height=6)
    drawn = [row.split("┤", 1)[1] for row in text.splitlines() if "┤" in row]
    assert "".join(drawn).count("a") == 2 + 1  # the points, and the letter at the line's end
    assert drawn[-1].startswith("a")


def test_site_draws_points_without_a_line_and_theory_without_marks() -> None:
    line = Curve(0, "theory", [1, 2], [0, 1], None, 1, "line")
    points = Curve(0, "measured", [1, 2], [0, 1], [0.1, 0.1], 3, "points")
    theory, measured = axis_chart(Panel("m", "x", [line, points])).lines
    assert (bool(theory.path), len(theory.markers)) == (True, 0)
    assert (bool(measured.path), len(measured.markers)) == (False, 2)


def test_command_draws_a_papers_table(own_folders: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    said = run(command, ["ccem_siglip/optimum"])
    assert "none of its runs is here; ppr reproduce ccem_siglip/optimum" in str(said.exception)
    assert "did you mean 'optimum'" in str(run(command, ["ccem_siglip/optimun"]).exception)
    assert "no axis" in str(run(command, ["ccem_siglip/thresholds"]).exception)
    execute(compose(["experiment=ccem_optimum", "task.pairs=5", "loss.bias=-1.0"]))
    text = run(command, ["ccem_siglip/optimum"]).output
    assert "a N = 5\n" in text  # one line of the legend with its theory
    file = tmp_path / "optimum.png"
    assert run(command, ["ccem_siglip/optimum", "-o", str(file)]).exit_code == 0
    assert Image.open(file).width > 500
    assert "drawn alone" in str(run(command, ["ccem_siglip/optimum", "toy"]).exception)
