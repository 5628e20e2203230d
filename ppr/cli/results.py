"""`ppr results`: list, filter, average and export the runs of the results tree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ppr.cli import options
from ppr.cli.words import FILTERS, SWEEP
from ppr.config.places import results_root
from ppr.display.terminal import Cell, count, print_table
from ppr.errors import BadRequest, choices
from ppr.results.differences import Variant, differing, is_synthetic, of, sciences
from ppr.results.metrics import metrics
from ppr.results.select import select
from ppr.results.statistics import mean_interval
from ppr.results.tree import SUMMARY, Record, Scan, scan

SHOWN_METRICS = 3
SHOWN_KEYS = 5
NO_METRICS = ("untrained/", "best/", "validation/", "cost/")
RANDOM = "random data"
STYLES = {"finished": "green", "running": "cyan", "failed": "red", "interrupted": "yellow",
          "pruned": "magenta", RANDOM: "yellow"}  # fmt: skip


@click.command(name="results")
@click.argument("filters", nargs=-1, type=FILTERS, metavar="[FILTER]...")
@options.results
@options.config_dir
@click.option("--sweep", type=SWEEP, metavar="ID", help="The runs of a sweep; `last` is one.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The newest N runs.")
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
    sweep: str | None,
    last: int | None,
    metric: str | None,
    group: bool,
    as_json: bool,
    target: Path | None,
) -> None:
    """List, filter and export the runs of the results tree, the newest first.

    \b
      ppr results model=mlp
      ppr results --sweep last --group
      ppr results loss.temperature=0.1 --metric linear/top1
      ppr results published=true experiment=supcon_* --group
      ppr results scale=desk --export runs.csv

    A FILTER is a key of the configs, or experiment, variant, seed, state or published, with values
    or globs; or the name of an experiment. Published runs are left out unless `published=true`, or
    `published=*` for both, asks for them. A column shows each key that differs between the variants
    of an experiment.
    """
    if group and target:
        raise BadRequest("--export writes a row a run; leave out --group")
    where = results_root(root)
    if root and not where.is_dir():
        raise BadRequest(f"--results {root}: no such folder")
    found, hidden = _chosen(where, filters, sweep)
    found = Scan(sorted(found.records, key=_time, reverse=True)[:last], found.problems)
    if target:
        from ppr.results.export import export

        in_order = sorted(found.records, key=lambda r: (r.experiment, r.variant, r.seed))
        written = export(in_order, target)
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
    if hidden:
        click.echo(f"{count(hidden, 'published run')} not shown; published=true shows them")
    _print_problems(found)


def _chosen(where: Path, filters: Sequence[str], sweep: str | None) -> tuple[Scan, int]:
    """The runs asked for, and how many more there are among the published ones."""
    found = select(scan(where), filters)
    hidden = 0
    if not any(word.startswith("published=") for word in filters):
        own = [record for record in found.records if not record.published]
        hidden = len(found.records) - len(own)
        found = Scan(own, found.problems)
    if sweep is None:
        return found, hidden
    from ppr.results.sweeps import find

    points = find(where, None if sweep == "last" else sweep).points
    keys = {(point.experiment, point.variant, point.seed) for point in points}
    inside = [r for r in found.records if (r.experiment, r.variant, r.seed) in keys]
    return Scan(inside, found.problems), 0


def _metric_paths(records: Sequence[Record], asked: str | None) -> list[str]:
    """The metrics asked for, else common ones after the last epoch, so that each run has one."""
    measured = [metrics(record.summary) for record in records]
    if asked:
        known = {path for found in measured for path in found}
        paths = asked.split(",")
        for path in paths:
            if known and path not in known:
                raise BadRequest(f"--metric {path}: no such metric; {choices(path, known)}")
        return paths
    last = [[p for p in found if not p.startswith(NO_METRICS)] for found in measured]
    shown: list[str] = []
    while len(shown) < SHOWN_METRICS:
        without = [paths for paths in last if paths and not {*shown} & {*paths}]
        counted = Counter(p for paths in without or last for p in paths if p not in shown)
        if not counted:
            break
        # Of metrics as common the first of another evaluator says more.
        seen = {path.partition("/")[0] for path in shown}
        rank = {p: (n, p.partition("/")[0] not in seen) for p, n in counted.items()}
        shown.append(max(rank, key=lambda path: rank[path]))
    return shown


def _print_runs(records: Sequence[Record], paths: Sequence[str]) -> None:
    shown = [path for path in paths if path != "cost/seconds"]
    known = sciences(records)
    keys = differing(known)
    columns = ["experiment", *keys[:SHOWN_KEYS], "seed", "state", *shown, "seconds", "when"]
    rows: list[list[Cell]] = []
    for record in records:
        values = metrics(record.summary)
        science = known[of(record)]
        seconds = values.get("cost/seconds")
        random = record.state == "finished" and is_synthetic(science)
        rows.append([
            record.experiment,
            *_settings(science, keys),
            record.seed,
            RANDOM if random else record.state,
            *(values.get(path) for path in shown),
            None if seconds is None else f"{seconds:.1f}",
            _when(record),
            *_variant(record.variant, keys),
        ])  # fmt: skip
    print_table([*columns, *_variant("variant", keys)], rows, styles=STYLES)
    _print_left_out(keys)


def _settings(science: Mapping[str, Any], keys: Sequence[str]) -> list[Cell]:
    """The values of the keys that tell variants apart, as the command line spells them."""
    words = {None: "null", True: "true", False: "false"}
    shown: list[Cell] = []
    for key in keys[:SHOWN_KEYS]:
        value = science.get(key, "")
        shown.append(words[value] if value is None or isinstance(value, bool) else str(value))
    return shown


def _variant(cell: str, keys: Sequence[str]) -> list[str]:
    """The variant stands at the end, to be typed, where an experiment has several."""
    return [cell] if keys else []


def _print_left_out(keys: Sequence[str]) -> None:
    if len(keys) > SHOWN_KEYS:
        click.echo(f"they differ in {', '.join(keys[SHOWN_KEYS:])} too; ppr compare shows how")


def _when(record: Record) -> str:
    """When the run was last written to; a published one says where it is published."""
    if record.published:
        return f"in {record.source.name}"
    return datetime.fromtimestamp(_time(record)).strftime("%Y-%m-%d %H:%M")


def _time(record: Record) -> float:
    if record.path is None:
        ended = record.summary.get("finished")
        return datetime.fromisoformat(ended).timestamp() if isinstance(ended, str) else 0.0
    file = record.path / SUMMARY
    return (file if record.state == "finished" else record.path).stat().st_mtime


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
    found: dict[Variant, list[Record]] = {}
    for record in records:
        if record.state == "finished":
            found.setdefault(of(record), []).append(record)
    groups = []
    for (experiment, variant), seeds in found.items():
        measured = [metrics(record.summary) for record in seeds]
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
            "seeds": sorted(record.seed for record in seeds),
            "metrics": intervals,
        })  # fmt: skip
    return groups


def _print_groups(records: Sequence[Record], paths: Sequence[str]) -> None:
    known = sciences(records)
    keys = differing(known)
    rows: list[list[Cell]] = []
    for group in _group_values(records, paths):
        science = known[group["experiment"], group["variant"]]
        texts = [group["metrics"].get(path, {}).get("text") for path in paths]
        mark = f" ({RANDOM})" if is_synthetic(science) else ""
        rows.append([
            group["experiment"] + mark,
            *_settings(science, keys),
            *texts,
            *_variant(group["variant"], keys),
        ])  # fmt: skip
    columns = ["experiment", *keys[:SHOWN_KEYS], *paths, *_variant("variant", keys)]
    print_table(columns, rows)
    _print_left_out(keys)
    left_out = sum(record.state != "finished" for record in records)
    if left_out:
        click.echo(f"{count(left_out, 'unfinished run')} left out")


def _print_problems(found: Scan, err: bool = False) -> None:
    if found.problems:
        click.echo(f"\n{count(len(found.problems), 'problem')}, left out above:", err=err)
    for problem in found.problems:
        click.echo(f"  {problem}", err=err)
