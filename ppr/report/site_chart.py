"""Charts for the web page: the geometry of an inline SVG, drawn by templates/chart.html.

Text and colours are the page's own, so that a chart follows its dark mode; matplotlib would take
a third of a second a figure, and the page has hundreds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ppr.display.plot import Panel, Series, axis_label, caption, series
from ppr.results.curves import Curve
from ppr.results.statistics import Interval

LEFT, RIGHT, TOP, BOTTOM = 64, 18, 10, 44
COLOURS = 6
"""How many the style sheet has, each with a dash of its own."""
MOST_POINTS = 240
"""More points than half the pixels of the axis show nothing more."""
_CHARACTER = 11
"""About the width of a tick label's digit, at its largest, on a telephone."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """A drawing's size in its own pixels; the page scales it to the room there is."""

    width: int
    height: int

    @property
    def inner(self) -> tuple[int, int]:
        """The plot area's."""
        return self.width - LEFT - RIGHT, self.height - TOP - BOTTOM


SMALL, WIDE = Frame(440, 250), Frame(720, 320)


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One curve in pixels; `last`, its last value, is for who cannot see it."""

    label: str
    last: str
    path: str
    bands: tuple[str, ...]
    markers: tuple[tuple[float, float, float, float], ...]
    """x, y, and the ends of the interval."""
    colour: int
    dash: int


@dataclass(frozen=True, slots=True)
class Key:
    """A line of the legend."""

    name: str
    colour: int
    dash: int
    line: bool
    points: bool


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    keys: tuple[Key, ...]
    caption: str
    notes: tuple[str, ...]
    frame: Frame


def curve_chart(title: str, panel: Panel) -> Chart:
    """A logged metric against the epoch or step, with bands."""
    x_all = [x for curve in panel.curves for x in curve.x]
    return _chart(title, panel, _nice(x_all, integer=True), SMALL, marked=False)


def axis_chart(panel: Panel, frame: Frame = WIDE) -> Chart:
    """A table along its axis: theory as lines, what is measured as marks with intervals."""
    marked = [curve for curve in panel.curves if curve.style == "points"] or panel.curves
    values = sorted({x for curve in marked for x in curve.x})
    return _chart(panel.title, panel, values, frame, marked=True)


def _chart(
    title: str, panel: Panel, x_values: Sequence[float], frame: Frame, *, marked: bool
) -> Chart:
    y_low, y_high = _y_range(panel.curves, whole=marked)
    x_all = [x for curve in panel.curves for x in curve.x] or [0.0]
    x_low, x_high = _wide(min(x_all), max(x_all), panel.log)
    scale = _Scale(x_low, x_high, y_low, y_high, panel.log, frame)
    notes = [
        f"{curve.label}: {gaps} of {len(curve.y)} values not finite, left out"
        for curve in panel.curves
        if (gaps := sum(not math.isfinite(y) for y in curve.y))
    ]
    return Chart(
        title=title,
        x_label=f"{panel.axis} (logarithmic)" if panel.log else panel.axis,
        y_label=axis_label(panel.metric),
        x_ticks=_spaced(Tick(scale.x(v), f"{v:.6g}") for v in x_values if x_low <= v <= x_high),
        y_ticks=tuple(Tick(scale.y(v), f"{v:.6g}") for v in _nice([y_low, y_high], inside=True)),
        lines=tuple(_line(curve, scale, marked) for curve in panel.curves),
        keys=tuple(map(_key, series(panel.curves))),
        caption=caption(panel.curves),
        notes=tuple(notes),
        frame=frame,
    )


def _key(each: Series) -> Key:
    return Key(each.name, *_style(each.index), each.line, each.points)


def _style(index: int) -> tuple[int, int]:
    """Colour and dash; beyond the colours, the pairs of the two differ."""
    return index % COLOURS, (index + index // COLOURS) % COLOURS


@dataclass(frozen=True, slots=True)
class _Scale:
    """Data to pixels of the plot area, which clips what lies outside."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool
    frame: Frame

    def x(self, value: float) -> float:
        low, high = self.x_low, self.x_high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return round((value - low) / (high - low) * self.frame.inner[0], 1)

    def y(self, value: float) -> float:
        return round((self.y_high - value) / (self.y_high - self.y_low) * self.frame.inner[1], 1)


def _line(curve: Curve, scale: _Scale, marked: bool) -> Line:
    halves = curve.half_width or [math.nan] * len(curve.x)
    step = max(1, math.ceil(len(curve.x) / MOST_POINTS))
    # Counted from the end, so that the last value, the one that is reported, is always drawn.
    kept = sorted(range(len(curve.x) - 1, -1, -step))
    points = [(curve.x[i], curve.y[i], halves[i]) for i in kept]
    pieces = [list(run) for finite, run in groupby(points, lambda p: math.isfinite(p[1])) if finite]
    bands: list[str] = []
    if not marked:
        for piece in pieces:
            banded = [p for p in piece if math.isfinite(p[2])]
            upper = [(scale.x(x), scale.y(y + half)) for x, y, half in banded]
            lower = [(scale.x(x), scale.y(y - half)) for x, y, half in reversed(banded)]
            if len(upper) > 1:
                bands.append(_path(upper + lower) + "Z")
    lone = [piece[0] for piece in pieces if len(piece) == 1]
    shown = [point for piece in pieces for point in piece] if curve.style == "points" else lone
    colour, dash = _style(curve.index)
    return Line(
        label=curve.label,
        last=_last(curve),
        path=""
        if curve.style == "points"
        else "".join(_path([(scale.x(x), scale.y(y)) for x, y, _ in piece]) for piece in pieces),
        bands=tuple(bands),
        markers=tuple(_marker(scale, *point) for point in shown),
        colour=colour,
        dash=dash,
    )


def _marker(scale: _Scale, x: float, y: float, half: float) -> tuple[float, float, float, float]:
    half = half if math.isfinite(half) else 0.0
    return scale.x(x), scale.y(y), scale.y(y - half), scale.y(y + half)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _last(curve: Curve) -> str:
    """The value that the curve ends with, as text."""
    if not curve.y or not math.isfinite(curve.y[-1]):
        return "not finite" if curve.y else "no value that all seeds have"
    half = curve.half_width[-1] if curve.half_width else 0.0
    return str(Interval(curve.y[-1], half if half > 0 else None, curve.n))


def _y_range(curves: Sequence[Curve], whole: bool) -> tuple[float, float]:
    """Around the means; of two seeds, the interval is many times the curve's height."""
    means = [y for curve in curves for y in curve.y if math.isfinite(y)]
    if not means:
        return 0.0, 1.0
    ends = [
        y + sign * half
        for curve in curves
        for y, half in zip(curve.y, curve.half_width or (), strict=False)
        for sign in (-1, 1)
        if math.isfinite(y) and math.isfinite(half)
    ]
    low, high = min(means), max(means)
    room = 0.25 * (high - low) or max(abs(high), 1e-12) * 0.1
    if whole:
        room = max(room, 2 * (high - low))
    bottom, top = max(min(ends, default=low), low - room), min(max(ends, default=high), high + room)
    margin = 0.06 * (top - bottom) or room
    return bottom - margin, top + margin


def _wide(low: float, high: float, log: bool) -> tuple[float, float]:
    """Room at both ends of an axis of one value, so that it has a length at all."""
    if low < high:
        return low, high
    return (low / 2, high * 2) if log else (low - 0.5, high + 0.5)


def _nice(values: Sequence[float], integer: bool = False, inside: bool = False) -> list[float]:
    """Round numbers over the range of the values; within it where `inside`."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values, default=0.0), max(values, default=1.0)
    whole = integer and high - low >= 3
    found = [float(v) for v in MaxNLocator(nbins=5, integer=whole).tick_values(low, high)]
    return [v for v in found if low <= v <= high] if inside else found


def _spaced(ticks: Iterator[Tick]) -> tuple[Tick, ...]:
    """Those whose labels do not run into the one before."""
    kept: list[Tick] = []
    for tick in ticks:
        if kept:
            room = (len(kept[-1].text) + len(tick.text) + 2) / 2 * _CHARACTER
            if tick.at - kept[-1].at < room:
                continue
        kept.append(tick)
    return tuple(kept)
