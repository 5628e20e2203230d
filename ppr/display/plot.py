"""Draw curves: with braille dots on the terminal, with matplotlib into a file.

On the terminal it is our own and no library's (plotext, uniplot): an interval is a band of dots
around a line, and a light command imports nothing for it.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.errors import BadRequest
from ppr.results.curves import Curve
from ppr.results.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png", ".pdf")
PANELS_IN_A_ROW = 3

# Okabe and Ito's set for all forms of colour blindness (https://jfly.uni-koeln.de/color/), less its
# yellow, too pale on white, and its black, kept for text.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", "--", ":", "-.")
"""A second sign beside colour once the colours repeat."""

_TERMINAL_COLOURS = ("blue", "red", "green", "magenta", "yellow", "cyan")
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each of a braille character's 4 rows by 2 columns of dots (Unicode, U+2800)."""
_MARK = 0x100
"""Instead of such bits: a point, shown as the letter of its curve."""

_WORDS = {
    "lr": "learning rate",
    "train/loss": "training loss",
    "loss": "loss",
    "knn/top1": "k-NN top-1",
    "linear/top1": "linear probe's top-1",
    "classifier/top1": "accuracy",
}
_FRACTIONS = re.compile(r"(top\d+|accuracy|auroc|ece|map|(recall|precision)\S*)$")


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes: what is measured, the x axis, logarithmic if so said, the curves, a title.

    Curves of one index are of one series, as a closed form and its measurement are.
    """

    metric: str
    axis: str
    curves: Sequence[Curve]
    log: bool = False
    title: str = ""


def axis_label(metric: str) -> str:
    """A metric's name in words, with its unit, where it has one."""
    unit = " (fraction of 1)" if _FRACTIONS.search(metric) else ""
    if metric in _WORDS:
        return _WORDS[metric]
    where, _, what = metric.partition("/")
    if where == "validation" and what:
        return f"{_WORDS.get(what, what)} on validation{unit}"
    return f"{metric}{unit}"


@dataclass(frozen=True, slots=True)
class Series:
    """The curves of one index, which have one colour and one line of the legend."""

    index: int
    label: str
    n: int
    line: bool
    points: bool

    @property
    def name(self) -> str:
        return f"{self.label} (n={self.n})" if self.n > 1 else self.label


def series(curves: Sequence[Curve]) -> list[Series]:
    """In the order of their indices; a measurement gives its closed form its name."""
    found = []
    for index in sorted({curve.index for curve in curves}):
        own = [curve for curve in curves if curve.index == index]
        named = next((curve for curve in own if curve.style != "line"), own[0])
        styles = {curve.style for curve in own}
        line, points = styles != {"points"}, "points" in styles
        found.append(Series(index, named.label, max(c.n for c in own), line, points))
    return found


def caption(curves: Sequence[Curve]) -> str:
    """What lines, points, bars and bands are, in one sentence."""
    styles = {curve.style for curve in curves}
    several = any(curve.n > 1 for curve in curves)
    if "points" in styles:
        spread = "means over seeds with their 95 % interval" if several else "single runs"
        lines = "Lines are theory, points are" if "line" in styles else "Points are"
        return f"{lines} {spread}."
    if styles == {"line"}:
        return "Lines are theory."
    return "Mean over seeds; the band is its 95 % interval." if several else "One run each."


# The terminal


def draw(panel: Panel, width: int = 80, height: int = 12, colour: bool = False) -> str:
    """The panel as text `width` characters wide; the curve's mean, without its band.

    A letter at the end of a curve finds it in the legend, so that colour is not needed; points are
    such letters themselves.
    """
    points = [
        [
            (math.log(x) if panel.log else x, y)
            for x, y in zip(c.x, c.y, strict=True)
            if math.isfinite(y)
        ]
        for c in panel.curves
    ]
    everything = [point for curve in points for point in curve]
    if not everything:
        return f"{axis_label(panel.metric)}: no finite value"
    (x_low, x_high), (y_low, y_high) = (_range(values) for values in zip(*everything, strict=True))
    ticks = [f"{y:.4g}" for y in (y_high, (y_low + y_high) / 2, y_low)]
    margin = max(map(len, ticks))
    columns = max(width - margin - 4, 10)
    cells: list[list[tuple[int, int]]] = [[(0, 0)] * columns for _ in range(height)]
    ends: dict[int, str] = {}
    for curve, curve_points in zip(panel.curves, points, strict=True):
        index = curve.index
        scaled = [
            (
                round((x - x_low) / (x_high - x_low) * (2 * columns - 1)),
                round((y_high - y) / (y_high - y_low) * (4 * height - 1)),
            )
            for x, y in curve_points
        ]
        if curve.style == "points":
            for column, row in scaled:
                cells[row // 4][column // 2] = (_MARK, index)
            continue
        for column, row in _joined(scaled):
            bits, _ = cells[row // 4][column // 2]
            cells[row // 4][column // 2] = (bits | _DOTS[row % 4][column % 2], index)
        if scaled:
            end = scaled[-1][1] // 4
            ends[end] = ends.get(end, "") + _paint(_letter(index), index, colour)
    tick_rows = dict(zip((0, height // 2, height - 1), ticks, strict=True))
    lines = [
        click.style(text, bold=True) if colour else text
        for text in (panel.title, axis_label(panel.metric))
        if text
    ]
    for row, line in enumerate(cells):
        body = "".join(_paint(_character(b, i), i, colour) if b else " " for b, i in line)
        lines.append(f"{tick_rows.get(row, ''):>{margin}} ┤{body} {ends.get(row, '')}".rstrip())
    ends_of_x = (math.exp(x) if panel.log else x for x in (x_low, x_high))
    left, right = (f"{x:.4g}" for x in ends_of_x)
    axis = f"{panel.axis} (logarithmic)" if panel.log else panel.axis
    lines.append(f"{'':{margin}} └{'─' * columns}")
    lines.append(f"{'':{margin}}  {left}{axis:^{columns - len(left) - len(right)}}{right}")
    for each in series(panel.curves):
        letter = _paint(_letter(each.index), each.index, colour)
        lines.append(f"{'':{margin}}  {letter} {each.name}")
    lines.append(f"{'':{margin}}  {caption(panel.curves)}")
    return "\n".join(lines)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _joined(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The dots of straight lines from each point to the next."""
    dots = list(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        dots += [
            (round(x0 + (x1 - x0) * i / steps), round(y0 + (y1 - y0) * i / steps))
            for i in range(1, steps + 1)
        ]
    return dots


def _letter(index: int) -> str:
    return chr(ord("a") + index % 26)


def _character(bits: int, index: int) -> str:
    return _letter(index) if bits == _MARK else chr(0x2800 + bits)


def _paint(shown: str, index: int, colour: bool) -> str:
    if not colour:
        return shown
    return click.style(shown, fg=_TERMINAL_COLOURS[index % len(_TERMINAL_COLOURS)])


# A file


@contextmanager
def write_figure(path: Path) -> Iterator[Figure]:
    """A figure to draw on, written to `path` at the end: the same drawing gives the same bytes.

    Raises:
        BadRequest: the suffix is none of FORMATS.
        RunFailed: the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise BadRequest(f"-o {path}: the name must end with {', '.join(FORMATS)}")
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot: no window, no global state

    sink = io.BytesIO()
    undated = (
        {} if path.suffix == ".png" else {"Date" if path.suffix == ".svg" else "CreationDate": None}
    )
    with matplotlib.rc_context({"svg.hashsalt": "ppr", "font.size": 10, "axes.axisbelow": True}):
        figure = Figure(layout="constrained")
        yield figure
        figure.savefig(sink, format=path.suffix[1:], dpi=200, metadata=undated)
    write_atomic(path, sink.getvalue())


def save(panels: Sequence[Panel], path: Path) -> None:
    """Draw the panels, three in a row, into `path`; raises as `write_figure`."""
    with write_figure(path) as figure:
        columns = min(len(panels), PANELS_IN_A_ROW)
        rows = math.ceil(len(panels) / columns)
        figure.set_size_inches(4.8 * columns, 3.2 * rows + 0.4)
        all_axes = [figure.add_subplot(rows, columns, at + 1) for at in range(len(panels))]
        for panel, axes in zip(panels, all_axes, strict=True):
            _fill(axes, panel)
        legend: dict[str, Any] = {}  # a run that lacks one panel's metric is in another's
        for axes in all_axes:
            handles, labels = axes.get_legend_handles_labels()
            legend |= dict(zip(labels, handles, strict=True))
        # As many columns as the widest name leaves room for.
        room = int(13 * 4.8 * columns / (max(map(len, legend), default=1) + 6))
        figure.legend(
            legend.values(),
            legend.keys(),
            title=caption([curve for panel in panels for curve in panel.curves]),
            title_fontsize="small",
            fontsize="small",
            ncols=max(1, min(len(legend), room)),
            loc="outside lower center",
            frameon=False,
        )


def _fill(axes: Any, panel: Panel) -> None:
    named: dict[int, str] = {each.index: each.name for each in series(panel.curves)}
    # The points of a series carry its name, or else its line.
    for curve in sorted(panel.curves, key=lambda c: c.style == "line"):
        label = named.pop(curve.index, "_")
        colour = COLOURS[curve.index % len(COLOURS)]
        dash = DASHES[curve.index // len(COLOURS) % len(DASHES)]
        if curve.style == "points":
            bars = [0.0 if math.isnan(h) else h for h in curve.half_width or [0.0] * len(curve.x)]
            axes.errorbar(curve.x, curve.y, bars, fmt="o", color=colour, capsize=3, label=label)
            continue
        marker = "o" if len(curve.x) <= 1 else None
        axes.plot(curve.x, curve.y, dash, color=colour, marker=marker, linewidth=1.6, label=label)
        if curve.half_width is not None:
            pairs = list(zip(curve.y, curve.half_width, strict=True))
            low, high = [y - h for y, h in pairs], [y + h for y, h in pairs]
            axes.fill_between(curve.x, low, high, color=colour, alpha=0.2, linewidth=0)
    if panel.title:
        axes.set_title("\n".join(textwrap.wrap(panel.title, 46)), fontsize="medium", loc="left")
    axes.set_xlabel(panel.axis)
    if panel.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(axis_label(panel.metric).replace(" (", "\n("))
    axes.grid(color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    _limit(axes, panel)
    if not panel.log:
        axes.xaxis.get_major_locator().set_params(integer=_spans_integers(panel))


def _limit(axes: Any, panel: Panel) -> None:
    """Fit the y axis to the means and the bands of three seeds or more.

    Of two seeds the interval is many times the curve's height, and would flatten it.
    """
    shown = [y for curve in panel.curves for y in curve.y]
    for curve in panel.curves:
        if curve.half_width is not None and curve.n > 2:
            for y, half in zip(curve.y, curve.half_width, strict=True):
                shown += [y - half, y + half]
    shown = [y for y in shown if math.isfinite(y)]
    if shown:
        low, high = _range(shown)
        bottom, top = axes.get_ylim()
        room = 0.1 * (high - low)
        axes.set_ylim(max(bottom, low - room), min(top, high + room))


def _spans_integers(panel: Panel) -> bool:
    xs = [x for curve in panel.curves for x in curve.x]
    return max(xs) - min(xs) >= 3
