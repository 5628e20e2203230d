"""A table whose columns are values along an axis, as a plot: theory as lines, the rest as points.

The table's `axis` names what its columns' numbers are. A row of a metric `theory/…` is what a
study's closed form gives, and is drawn as a line through the columns; every other row is measured.
"""

from __future__ import annotations

import math

from ppr.papers.cells import Filled
from ppr.papers.schema import Entry
from ppr.report.plot import Panel
from ppr.report.sheet import Sheet
from ppr.results.curves import Curve

LOG_RATIO = 20
"""From here on an axis is logarithmic, as on the site's charts."""


def axis_panel(sheet: Sheet) -> Panel | None:
    """The plot of the rows that have runs; None where the table has no axis, or none has."""
    if sheet.table.axis is None:
        return None
    curves = []
    indices: dict[object, int] = {}
    for row, places in sheet.places.items():
        run = [(_number(sheet.table.columns[c], c), filled) for c, filled in places.items()]
        points = sorted(((x, f) for x, f in run if f.interval), key=lambda point: point[0])
        # What the same runs measure and have from theory takes one colour.
        same = tuple((filled.variant, filled.cell.meaning) for filled in places.values())
        index = indices.setdefault(same, len(indices))
        if points:
            curves.append(_curve(index, row, points))
    curves.sort(key=lambda curve: curve.style == "points")  # on top of the lines
    if not curves:
        return None
    xs = [x for curve in curves for x in curve.x]
    log = min(xs) > 0 and max(xs) / min(xs) >= LOG_RATIO
    return Panel(_label(sheet), sheet.table.axis, curves, log)


def _label(sheet: Sheet) -> str:
    """What is measured, where the rows are of one metric, else the table's."""
    meanings = dict.fromkeys(filled.cell.meaning for filled in sheet.cells)
    name = next(iter(meanings)) if len(meanings) == 1 else sheet.name
    return f"{name} ({sheet.table.unit})" if sheet.table.unit else name


def _curve(index: int, row: str, points: list[tuple[float, Filled]]) -> Curve:
    xs = [x for x, _ in points]
    intervals = [filled.interval for _, filled in points if filled.interval]
    means = [interval.mean for interval in intervals]
    if points[0][1].cell.is_theory:
        return Curve(index, row, xs, means, None, 1, "line")
    halves = [math.nan if i.half_width is None else i.half_width for i in intervals]
    return Curve(index, row, xs, means, halves, min(i.n for i in intervals), "points")


def _number(entry: Entry, name: str) -> float:
    """Where a column lies; the schema has checked that it is a number."""
    return float(entry.value or name)
