"""Curves and their drawings."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from PIL import Image

from ppr.cli.plot import command
from ppr.config.places import run_path
from ppr.display.plot import COLOURS, Panel, axis_label, draw, save
from ppr.errors import BadRequest
from ppr.results.curves import Curve, curves, default_metrics, groups
from ppr.results.files import MetricsLog
from ppr.results.statistics import mean_interval
from ppr.results.tree import CONFIG, METRICS, SUMMARY, scan

A, B = "a" * 10, "b" * 10


def make_run(root, variant, seed, *, steps=4, finished=True, temperature=0.1, experiment="toy"):
    path = run_path(root, experiment, variant, seed)
    path.mkdir(parents=True)
    (path / CONFIG).write_text(f"seed: {seed}\nloss: {{name: x, temperature: {temperature}}}\n")
    with MetricsLog(path / METRICS) as log:
        for step in range(steps):
            log.write({"step": step, "epoch": step / 2, "train/loss": seed + 1 / (1 + step)})
            if step % 2:
                top1 = 0.5 + step / 10 + seed / 100
                log.write({"step": step, "epoch": step / 2, "validation/knn/top1": top1})
    if finished:
        names = f'"experiment": "{experiment}", "variant": "{variant}", "seed": {seed}'
        (path / SUMMARY).write_text(f'{{"schema": 1, {names}, "metrics": {{}}}}')
    return path


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "results"
    for seed in range(3):
        make_run(root, A, seed)
    make_run(root, A, 3, steps=1, finished=False)
    make_run(root, B, 0, temperature=0.5)
    return root


def test_seeds_are_averaged_over_finished_runs(root):
    found = groups(scan(root), ["toy"])
    assert [g.label for g in found] == ["toy loss.temperature=0.1", "toy loss.temperature=0.5"]
    assert default_metrics(found) == ["train/loss", "validation/knn/top1"]
    axis, (mean, single) = curves(found, "train/loss")
    assert axis == "epoch"
    assert (mean.x, mean.n) == ([0, 0.5, 1, 1.5], 3)
    for step in range(4):
        expected = mean_interval([seed + 1 / (1 + step) for seed in range(3)])
        assert mean.y[step] == pytest.approx(expected.mean)
        assert mean.half_width[step] == pytest.approx(expected.half_width)
    assert (single.n, single.half_width) == (1, None)


def test_words_name_directories_variants_and_experiments(root):
    make_run(root, "c" * 10, 0, experiment="other")
    path = run_path(root, "toy", A, 3)
    assert [len(g.logs) for g in groups(scan(root), [str(path), "bbb", "other"])] == [1, 1, 1]
    # Two words for the same runs draw them once.
    assert len(groups(scan(root), ["other", "cccc"])) == 1
    with pytest.raises(BadRequest, match="did you mean 'other'"):
        groups(scan(root), ["othr"])


def test_seeds_are_averaged_only_where_all_have_a_value(tmp_path):
    make_run(tmp_path, A, 0, steps=4, finished=False)
    make_run(tmp_path, A, 1, steps=2, finished=False)
    _, (curve,) = curves(groups(scan(tmp_path), ["toy"]), "train/loss")
    assert (curve.x, curve.n) == ([0, 0.5], 2)


def test_a_missing_metric_is_told(root):
    with pytest.raises(BadRequest, match="not logged; did you mean 'train/loss'"):
        curves(groups(scan(root), ["toy"]), "train/los")


def test_null_in_the_log_is_a_gap(tmp_path):
    path = make_run(tmp_path, A, 0, steps=0)
    with MetricsLog(path / METRICS) as log:
        for step, loss in enumerate([1.0, math.nan, 2.0]):
            log.write({"step": step, "train/loss": loss})
    axis, (curve,) = curves(groups(scan(tmp_path), ["toy"]), "train/loss")
    assert axis == "step"
    assert [math.isnan(y) for y in curve.y] == [False, True, False]
    assert "training loss" in draw(Panel("train/loss", axis, [curve]))


def test_no_log_yet(tmp_path):
    run_path(tmp_path, "toy", A, 0).mkdir(parents=True)
    with pytest.raises(BadRequest, match=r"toy: no metrics\.jsonl yet"):
        groups(scan(tmp_path), ["toy"])


def dots(text):
    """The dots drawn, as (column, row) from the lower left, decoded from the braille characters."""
    lines = [line.split("┤", 1)[1] for line in text.splitlines() if "┤" in line]
    order = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
    height = 4 * len(lines)
    return {
        (2 * at + dx, height - 1 - (4 * row + dy))
        for row, line in enumerate(lines)
        for at, character in enumerate(line)
        if 0x2800 < ord(character) <= 0x28FF
        for bit, (dx, dy) in enumerate(order)
        if (ord(character) - 0x2800) >> bit & 1
    }


def test_braille_dots_follow_the_curve():
    n = 144
    x = [i / (n - 1) for i in range(n)]
    text = draw(Panel("m", "step", [Curve(0, "line", x, x, None, 1)]), width=77, height=12)
    drawn = dots(text)
    width = max(column for column, _ in drawn) + 1
    assert {column for column, _ in drawn} == set(range(width))
    for column, row in drawn:
        assert abs(row / 47 - column / (width - 1)) < 1.5 / 47
    assert max(map(len, text.splitlines())) <= 77


@pytest.mark.parametrize("y", [[1.0], [2.0, 2.0], [math.nan, 1.0], [-1e-9, 1e9]])
def test_odd_curves_are_drawn(y, tmp_path):
    curve = Curve(0, "odd", list(range(len(y))), y, None, 1)
    assert dots(draw(Panel("m", "step", [curve])))
    save([Panel("m", "step", [curve])], tmp_path / "odd.png")
    assert Image.open(tmp_path / "odd.png").width > 500


def test_nothing_finite_is_said():
    panel = Panel("m", "step", [Curve(0, "nan", [0], [math.nan], None, 1)])
    assert draw(panel) == "m: no finite value"


def test_letters_and_colours_stay_with_their_run():
    second = Curve(1, "second", [0, 1], [0, 1], None, 1)
    text = draw(Panel("m", "step", [second]), colour=True)
    assert "\x1b[31mb\x1b[0m second" in text


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_command_writes_the_same_figure_twice(root, tmp_path, suffix):
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        words = ["toy", "--results", str(root), "-o", str(file)]
        done = CliRunner().invoke(command, words, catch_exceptions=False)
        assert done.output == f"2 panels written to {file}\n"
    assert files[0].read_bytes() == files[1].read_bytes()
    if suffix == "svg":
        ElementTree.parse(files[0])
        text = files[0].read_text()
        assert all(colour in text for colour in COLOURS[:2])


def test_command_draws_on_the_terminal(root):
    words = ["toy", "--results", str(root), "--metric", "validation/knn/top1"]
    shown = CliRunner().invoke(command, words, catch_exceptions=False).output
    assert shown.startswith("k-NN top-1 on validation (fraction of 1)\n")
    assert "a toy loss.temperature=0.1 (n=3)" in shown
    assert "b toy loss.temperature=0.5" in shown


def test_a_run_left_out_is_told(root):
    (run_path(root, "toy", A, 1) / SUMMARY).write_text("{")
    words = ["toy", "--results", str(root), "--metric", "train/loss"]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.stderr == "left out, unreadable: 1 run; `ppr results` tells which\n"
    assert "loss.temperature=0.1 (n=2)" in done.stdout


def test_command_refuses_in_one_line(root, tmp_path):
    def call(*words):
        CliRunner().invoke(command, ["--results", str(root), *words], catch_exceptions=False)

    with pytest.raises(BadRequest, match=r"must end with \.svg"):
        call("toy", "-o", str(tmp_path / "x.gif"))
    with pytest.raises(BadRequest, match="did you mean 'train/loss'"):
        call("toy", "--metric", "train/los")


def test_units():
    assert axis_label("validation/knn/top1") == "k-NN top-1 on validation (fraction of 1)"
    assert axis_label("retrieval/recall@1") == "retrieval/recall@1 (fraction of 1)"
    assert axis_label("train/loss") == "training loss"
    assert axis_label("lr") == "learning rate"
