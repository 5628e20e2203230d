"""A table whose columns are values along an axis, as a plot: theory as lines, the rest as points.

The table's `axis` names what its columns' numbers are, `quantity` what is measured. A row of a
metric `theory/…` is what a study's closed form gives: a smooth curve where the study can say it at
any value (`Study.theory`), else a line through the columns. Every other row is measured.
"""

from __future__ import annotations

import math
from string import Template
from typing import TYPE_CHECKING

from ppr.display.plot import Panel
from ppr.errors import BadRequest
from ppr.papers.cells import Filled
from ppr.papers.table_schema import Entry, Table
from ppr.report.sheet import Sheet
from ppr.results.curves import Curve

if TYPE_CHECKING:
    from collections.abc import Sequence

LOG_RATIO = 20
"""From here on an axis is logarithmic."""
POINTS = 90
"""Of a smooth curve, beside those of the columns."""

Points = list[tuple[float, Filled]]


def axis_panel(sheet: Sheet) -> Panel | None:
    """The plot of the rows that have runs; None where the table has no axis, or none has."""
    table = sheet.table
    if table.axis is None or table.quantity is None:
        return None
    rows: dict[str, tuple[int, Points]] = {}
    indices: dict[object, int] = {}
    for row, places in sheet.places.items():
        run = [(_number(table.columns[c], c), filled) for c, filled in places.items()]
        # What the same runs measure and have from theory takes one colour.
        same = tuple((filled.variant, filled.cell.meaning) for filled in places.values())
        index = indices.setdefault(same, len(indices))
        points = sorted(((x, f) for x, f in run if f.interval), key=lambda point: point[0])
        if points:
            rows[row] = index, points
    if not rows:
        return None
    xs = sorted({x for _, points in rows.values() for x, _ in points})
    log = xs[0] > 0 and xs[-1] / xs[0] >= LOG_RATIO
    curves = [_curve(table, row, index, points, log) for row, (index, points) in rows.items()]
    curves.sort(key=lambda curve: curve.style == "points")  # on top of the lines
    return Panel(table.quantity, table.axis, curves, log, table.title)


def _curve(table: Table, row: str, index: int, points: Points, log: bool) -> Curve:
    xs = [x for x, _ in points]
    intervals = [filled.interval for _, filled in points if filled.interval]
    means = [interval.mean for interval in intervals]
    if points[0][1].cell.is_theory:
        between = _closed_form(table, row, points[0][1].cell.metric, _grid(xs, log))
        smooth = sorted({**between, **dict(zip(xs, means, strict=True))}.items())
        return Curve(index, row, [x for x, _ in smooth], [y for _, y in smooth], None, 1, "line")
    halves = [math.nan if i.half_width is None else i.half_width for i in intervals]
    return Curve(index, row, xs, means, halves, min(i.n for i in intervals), "points")


def _grid(xs: Sequence[float], log: bool) -> list[float]:
    low, high = xs[0], xs[-1]
    steps = [step / (POINTS - 1) for step in range(1, POINTS - 1)]
    if log:
        return [low * (high / low) ** step for step in steps]
    return [low + (high - low) * step for step in steps]


def _closed_form(table: Table, row: str, metric: str, xs: Sequence[float]) -> dict[float, float]:
    """x -> the study's closed form there; empty where the study has none without a measurement.

    Where the field takes only some values, batch sizes say, the others are left out.
    """
    from ppr.config.compose import compose
    from ppr.studies.study import closed_forms

    whole = all(_text(entry, name).isdigit() for name, entry in table.columns.items())
    found = {}
    for x in dict.fromkeys(round(x) if whole else float(f"{x:.6g}") for x in xs):
        words = Template(table.cell).substitute(row=table.rows[row].value, column=x).split()
        try:
            known = closed_forms(compose(words).values)
        except BadRequest:
            continue
        if not known:
            return {}
        found[x] = known[metric.removeprefix("theory/")] * table.factor
    return found


def _text(entry: Entry, name: str) -> str:
    return entry.value or name


def _number(entry: Entry, name: str) -> float:
    """Where a column lies; the schema has checked that it is a number."""
    return float(_text(entry, name))
