"""The charts of `ppr report`: drawn to scale, thinned, labelled."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest

from ppr.display.plot import Panel
from ppr.report.site_chart import SMALL, axis_chart, curve_chart
from ppr.results.curves import Curve

INNER = SMALL.inner


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
    chart = axis_chart(Panel("m", "lr", [Curve(0, "a", x, x, None, 1, "points")], title="t"))
    ends = [(tick.at, len(tick.text) * 7) for tick in chart.x_ticks]
    assert len(ends) > 3
    assert all(a + width_a / 2 < b - width_b / 2 for (a, width_a), (b, width_b) in pairwise(ends))


def test_a_series_has_one_line_of_the_legend_and_the_measurements_name() -> None:
    curves = [
        Curve(0, "N = 5, theory", [1, 2], [0, 1], None, 1, "line"),
        Curve(1, "theory alone", [1, 2], [1, 0], None, 1, "line"),
        Curve(0, "N = 5", [1, 2], [0, 1], [0.1, math.nan], 3, "points"),
    ]
    chart = axis_chart(Panel("m", "x", curves, title="What is shown"))
    assert [(k.name, k.line, k.points) for k in chart.keys] == [
        ("N = 5 (n=3)", True, True),
        ("theory alone", True, False),
    ]
    assert chart.title == "What is shown"
    assert chart.lines[2].last == "1.000 (n=3, all equal)"
