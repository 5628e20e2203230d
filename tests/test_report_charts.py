"""The charts of `ppr report`: drawn to scale, thinned, labelled; which runs make a sweep."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ppr.report.plot import Panel
from ppr.report.site_chart import INNER, curve_chart, sweep_chart
from ppr.report.site_sweep import Sweep, Sweeps
from ppr.results.curves import Curve
from ppr.results.tree import Record

# --- charts ---------------------------------------------------------------------------------------


def numbers(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def test_a_curve_is_drawn_to_scale_with_its_band() -> None:
    y, half = [1.0, 3.0, 2.0, 4.0], [0.25, 0.5, 0.125, 0.5]
    chart = curve_chart("t", Panel("loss", "epoch", [Curve(0, "a", [1, 2, 3, 5], y, half, 3)]))
    [line] = chart.lines
    points = numbers(line.path)
    assert [x for x, _ in points] == pytest.approx([0, INNER[0] / 4, INNER[0] / 2, INNER[0]])
    # Two ticks of the axis say what a pixel is worth.
    (first, *_, last) = chart.y_ticks
    unit = (float(last.text) - float(first.text)) / (last.at - first.at)
    drawn = [float(first.text) + unit * (at - first.at) for _, at in points]
    assert drawn == pytest.approx(y, abs=0.02)
    [band] = line.bands
    edge = [float(first.text) + unit * (at - first.at) for _, at in numbers(band)]
    upper, lower = edge[:4], edge[4:][::-1]
    assert upper == pytest.approx([a + b for a, b in zip(y, half, strict=True)], abs=0.02)
    assert lower == pytest.approx([a - b for a, b in zip(y, half, strict=True)], abs=0.02)
    assert line.last == "4.00 ± 0.50 (n=3)"


def test_a_gap_is_left_where_a_value_is_not_finite() -> None:
    y = [1.0, 2.0, math.nan, 3.0, 4.0, math.inf]
    panel = Panel("loss", "step", [Curve(0, "a", list(range(6)), y, None, 1)])
    chart = curve_chart("t", panel)
    assert chart.lines[0].path.count("M") == 2
    assert len(numbers(chart.lines[0].path)) == 4
    assert chart.lines[0].last == "not finite"
    assert chart.notes == ("a: 2 of 6 values not finite, left out",)


@pytest.mark.parametrize("y", [[], [2.0], [math.nan], [0.0, 0.0], [1e-300, 1e300]])
def test_any_curve_can_be_drawn(y: list[float]) -> None:
    curve = Curve(7, "a", list(range(len(y))), y, [0.0] * len(y), 2)
    chart = curve_chart("t", Panel("loss", "step", [curve]))
    pixels = [value for point in numbers(chart.lines[0].path) for value in point]
    assert all(map(math.isfinite, pixels))


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    y = [math.sin(i / 500) for i in range(10_000)]
    chart = curve_chart("t", Panel("m", "step", [Curve(0, "a", list(range(10_000)), y, None, 1)]))
    points = numbers(chart.lines[0].path)
    assert len(points) <= 240
    assert points[-1][0] == INNER[0]


def test_tick_labels_do_not_run_into_each_other() -> None:
    x = [0.001 * i for i in range(1, 60)]
    chart = sweep_chart("t", Panel("m", "lr", [Curve(0, "a", x, x, None, 1)]))
    ends = [(tick.at, len(tick.text) * 7) for tick in chart.x_ticks]
    assert len(ends) > 3
    assert all(a + width_a / 2 < b - width_b / 2 for (a, width_a), (b, width_b) in pairwise(ends))


# --- sweeps ---------------------------------------------------------------------------------------


def record(folder: Path, name: str, config: dict[str, object], value: float) -> Record:
    path = folder / "e" / name / "seed=0"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    return Record(
        "e", name, 0, path, "finished", {"scale": "desk", "metrics": {"m": {"v": value}}}, path
    )


def sweeps(records: list[Record], metric: str, rows: dict[str, str]) -> list[Sweep]:
    return Sweeps(records).find("e", "desk", metric, 100.0, rows)


def test_a_sweep_is_of_variants_that_differ_in_one_numeric_field(tmp_path: Path) -> None:
    grid = [
        record(
            tmp_path,
            f"{i}{j}",
            {"loss": {"name": name, "t": t}, "engine": {"workers": i, "epochs": 3}},
            10 * i + j,
        )
        for i, name in enumerate(["a", "b"])
        for j, t in enumerate([0.5, 0.1, 0.2])
    ]
    alone = record(tmp_path, "99", {"loss": {"name": "c", "t": 0.7}}, 7.0)
    [found] = sweeps([*grid, alone], "m/v", {"00": "A", "01": "A", "02": "A"})
    assert found.field == "loss.t"
    assert [curve.x for curve in found.panel.curves] == [[0.1, 0.2, 0.5]] * 2
    assert [curve.y for curve in found.panel.curves] == [[100, 200, 0], [1100, 1200, 1000]]
    assert found.panel.curves[0].label == "A"
    assert {variant for *_, variant in found.points} == {"00", "01", "02", "10", "11", "12"}
    assert sweeps([grid[0], alone], "m/v", {}) == []
    assert sweeps([grid[0], grid[3]], "m/v", {}) == []  # a name is no number
    slower = record(
        tmp_path, "98", {"loss": {"name": "c", "t": 0.7}, "engine": {"workers": 9}}, 7.0
    )
    busier = record(
        tmp_path, "97", {"loss": {"name": "c", "t": 0.7}, "engine": {"workers": 8}}, 7.0
    )
    assert sweeps([slower, busier], "m/v", {}) == []  # what cannot change the numbers
    assert sweeps(grid, "m/other", {}) == []
    assert Sweeps(grid).find("e", "paper", "m/v", 1.0, {}) == []
