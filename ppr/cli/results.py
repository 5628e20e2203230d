"""`ppr results`: list, filter, average and export the runs of the results tree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from ppr.cli import options
from ppr.errors import BadRequest, choices
from ppr.report.terminal import Cell, count, print_table
from ppr.results.metrics import metrics
from ppr.results.select import select
from ppr.results.statistics import mean_interval
from ppr.results.tree import SUMMARY, Record, Scan, results_root, scan

SHOWN_METRICS = 3
STYLES = {"finished": "green", "running": "cyan", "failed": "red", "interrupted": "yellow",
          "pruned": "magenta"}  # fmt: skip


@click.command(name="results")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@options.results
@options.config_dir
@click.option("--metric", metavar="PATHS", help="Metrics to show: linear/top1,cost/seconds.")
@click.option("--group", is_flag=True, help="One row a variant: mean ± 95 % interval over seeds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--export",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the runs to FILE: .csv, .parquet, or .jsonl to publish them.",
)
def command(
    *,
    filters: tuple[str, ...],
    root: str | None,
    metric: str | None,
    group: bool,
    as_json: bool,
    target: Path | None,
) -> None:
    """List, filter and export the runs of the results tree.

    \b
      ppr results experiment=supcon_* state=finished
      ppr results loss.temperature=0.1 --group --metric linear/top1
      ppr results scale=desk --export runs.csv
    """
    if group and target:
        raise BadRequest("--export writes a row a run; leave out --group")
    where = results_root(root)
    if root and not where.is_dir():
        raise BadRequest(f"--results {root}: no such folder")
    found = select(scan(where), filters)
    if target:
        from ppr.results.export import export

        written = export(found.records, target)
        click.echo(f"{count(written, 'run')} written to {target}")
        _print_problems(found, err=True)
        return
    paths = _metric_paths(found.records, metric)
    if as_json:
        rows = _group_values(found.records, paths) if group else _run_values(found.records)
        problems = [{"path": str(p.path), "reason": p.reason} for p in found.problems]
        name = "groups" if group else "runs"
        click.echo(json.dumps({name: rows, "problems": problems}, indent=2))
        return
    if not found.records:
        asked = " ".join(filters)
        click.echo(f"no run in {where} matches {asked}" if filters else f"no runs in {where} yet")
    elif group:
        _print_groups(found.records, paths)
    else:
        _print_runs(found.records, paths)
    _print_problems(found)


def _metric_paths(records: Sequence[Record], asked: str | None) -> list[str]:
    """The metrics asked for, else the most common of those after the last epoch."""
    if asked:
        known = {path for record in records for path in metrics(record.summary)}
        paths = asked.split(",")
        for path in paths:
            if known and path not in known:
                raise BadRequest(f"--metric {path}: no such metric; {choices(path, known)}")
        return paths
    stages = ("untrained/", "best/", "cost/")
    counted = Counter(
        path
        for record in records
        for path in metrics(record.summary)
        if not path.startswith(stages)
    )
    return [path for path, _ in counted.most_common(SHOWN_METRICS)]


def _print_runs(records: Sequence[Record], paths: Sequence[str]) -> None:
    shown = [path for path in paths if path != "cost/seconds"]
    columns = ["experiment", "variant", "seed", "state", *shown, "seconds", "when"]
    rows: list[list[Cell]] = []
    for record in records:
        values = metrics(record.summary)
        seconds = values.get("cost/seconds")
        rows.append([
            record.experiment,
            record.variant,
            record.seed,
            record.state,
            *(values.get(path) for path in shown),
            None if seconds is None else f"{seconds:.1f}",
            _when(record),
        ])  # fmt: skip
    print_table(columns, rows, styles=STYLES)


def _when(record: Record) -> str:
    """When the run was last written to; a published one says where it is published."""
    if record.path is None:
        return f"in {record.source.name}"
    file = record.path / SUMMARY
    last = (file if record.state == "finished" else record.path).stat().st_mtime
    return datetime.fromtimestamp(last).strftime("%Y-%m-%d %H:%M")


def _run_values(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [
        {
            "experiment": record.experiment,
            "variant": record.variant,
            "seed": record.seed,
            "state": record.state,
            "source": str(record.source),
            "summary": record.summary,
        }
        for record in records
    ]


def _group_values(records: Sequence[Record], paths: Sequence[str]) -> list[dict[str, Any]]:
    """A variant a group: its finished seeds and, by metric, their mean and interval."""
    groups = []
    finished = [record for record in records if record.state == "finished"]
    for (experiment, variant), seeds in groupby(finished, lambda r: (r.experiment, r.variant)):
        found = list(seeds)
        measured = [metrics(record.summary) for record in found]
        intervals = {}
        for path in paths:
            values = [values_of[path] for values_of in measured if path in values_of]
            if values:
                interval = mean_interval(values)
                intervals[path] = {
                    "mean": interval.mean,
                    "half_width": interval.half_width,
                    "n": interval.n,
                    "text": str(interval),
                }
        groups.append({
            "experiment": experiment,
            "variant": variant,
            "seeds": [record.seed for record in found],
            "metrics": intervals,
        })  # fmt: skip
    return groups


def _print_groups(records: Sequence[Record], paths: Sequence[str]) -> None:
    rows: list[list[Cell]] = [
        [
            group["experiment"],
            group["variant"],
            *(group["metrics"].get(path, {}).get("text") for path in paths),
        ]
        for group in _group_values(records, paths)
    ]
    print_table(["experiment", "variant", *paths], rows)
    left_out = sum(record.state != "finished" for record in records)
    if left_out:
        click.echo(f"{count(left_out, 'unfinished run')} left out")


def _print_problems(found: Scan, err: bool = False) -> None:
    if found.problems:
        click.echo(f"\n{count(len(found.problems), 'problem')}, left out above:", err=err)
    for problem in found.problems:
        click.echo(f"  {problem}", err=err)
