"""What a sweep ends with: its variants, with the mean and interval of their seeds."""

from __future__ import annotations

from ppr.display.terminal import Cell, count, print_table
from ppr.results.metrics import after_last_epoch
from ppr.results.statistics import mean_interval
from ppr.results.summary import read_summary
from ppr.results.sweeps import Sweep

SHOWN_METRICS = 3
SHOWN_VARIANTS = 30


def print_outcome(sweep: Sweep) -> None:
    """The table of what the sweep's finished runs measured, a row a variant; none without two."""
    measured: dict[tuple[str, str], list[dict[str, float]]] = {}
    labels: dict[tuple[str, str], str] = {}
    for index, point in enumerate(sweep.points):
        if not sweep.finished(index):
            continue
        variant = point.experiment, point.variant
        summary = read_summary(sweep.run_folder(index)) or {}
        measured.setdefault(variant, []).append(after_last_epoch(summary))
        labels.setdefault(variant, sweep.label(index, seed=False))
    total = sum(map(len, measured.values()))
    if total < 2:
        return
    paths = list(dict.fromkeys(path for runs in measured.values() for run in runs for path in run))
    rows: list[list[Cell]] = []
    for variant, runs in list(measured.items())[:SHOWN_VARIANTS]:
        row: list[Cell] = [labels[variant]]
        for path in paths[:SHOWN_METRICS]:
            values = [run[path] for run in runs if path in run]
            row.append(str(mean_interval(values)) if values else None)
        rows.append(row)
    hidden = len(measured) - len(rows)
    more = f"; {count(hidden, 'more variant')}: ppr results --group" if hidden else ""
    title = f"{total} of {count(len(sweep.points), 'run')} finished{more}"
    print_table(["variant", *paths[:SHOWN_METRICS]], rows, title=title)
