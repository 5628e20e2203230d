"""What a paper's page shows, gathered before it takes any markup."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ppr.display.plot import Panel, axis_label
from ppr.errors import BadRequest, RunFailed
from ppr.papers.board import Standing
from ppr.papers.cells import Filled, Results, cells
from ppr.papers.claim_schema import Kind
from ppr.papers.claims import judge
from ppr.papers.schema import Paper
from ppr.papers.verdict import Verdict
from ppr.report.axis import axis_panel
from ppr.report.sheet import Sheet, notes
from ppr.report.site_chart import Chart, axis_chart, curve_chart
from ppr.results.curves import Group, curves, default_metrics, differing_keys
from ppr.results.files import read_lines
from ppr.results.metrics import metrics
from ppr.results.select import config_values
from ppr.results.statistics import mean_interval
from ppr.results.tree import METRICS, Record, Scan

MOST_PROBLEMS = 3


@dataclass(frozen=True, slots=True)
class TableView:
    """A table of the page, with the claims on it. `problems`: why cells cannot be filled, once."""

    key: str
    name: str
    sheet: Sheet
    notes: list[str]
    problems: list[str]
    panel: Panel | None
    charts: list[Chart]
    verdicts: list[Verdict]
    commands: list[tuple[str, str]]

    def of_kind(self, kind: Kind) -> list[Verdict]:
        """The verdicts on its claims of one kind."""
        claims = self.sheet.paper.claims
        return [verdict for verdict in self.verdicts if claims[verdict.claim].kind == kind]

    @property
    def drawn(self) -> Chart | None:
        return axis_chart(self.panel) if self.panel else None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as a row: where it lies, and what tells it from a changed one."""

    seed: int
    state: str
    href: str
    where: str
    digest: str
    code: str
    device: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class VariantView:
    """A variant's runs. `differs`: what tells it from the experiment's others, `KEY=VALUE` each;
    `metric` and `value`: one of its results, the mean of its finished seeds."""

    experiment: str
    variant: str
    runs: list[RunView]
    differs: list[str] = dataclasses.field(default_factory=list)
    metric: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class PaperView:
    paper: Paper
    standing: Standing
    tables: list[TableView]
    variants: list[VariantView]


def anchor(table: str) -> str:
    """The id of a table on its paper's page."""
    return f"table-{re.sub(r'[^A-Za-z0-9_-]', '-', table)}"


def paper_view(
    paper: Paper,
    standing: Standing,
    results: Results,
    folder: Path,
) -> PaperView:
    """`folder`: where the page will lie."""
    verdicts = judge(paper, results)
    tables = [
        _table_view(paper, name, results, [v for v in verdicts if v.table == name])
        for name in paper.tables
    ]
    used: dict[tuple[str, str], dict[int, Record]] = {}
    for view in tables:
        for filled in view.sheet.cells:
            runs = used.setdefault((filled.experiment, filled.variant), {})
            runs |= {record.seed: record for record in filled.records}
    variants = [
        VariantView(experiment, variant, [run_view(record, folder) for record in runs.values()])
        for (experiment, variant), runs in used.items()
        if runs
    ]
    return PaperView(paper, standing, tables, variants)


def _table_view(paper: Paper, name: str, results: Results, verdicts: list[Verdict]) -> TableView:
    table = paper.tables[name]
    places: dict[str, dict[str, Filled]] = {}
    problems: dict[str, None] = {}
    for cell in cells(name, table):
        try:
            filled = results.fill(cell)
        except BadRequest as error:
            # One experiment that is yet to come must not hide the other cells, nor what the paper
            # reports for this one.
            filled = Filled(cell, "", "")
            problems[str(error)] = None
        places.setdefault(cell.row, {})[cell.column] = filled
    sheet = Sheet(paper, name, table, places)
    charts, unread = _charts(sheet)
    shown = [*list(problems)[:MOST_PROBLEMS], *unread]
    if len(problems) > MOST_PROBLEMS:
        shown.append(f"and so {len(problems) - MOST_PROBLEMS} cells more")
    return TableView(
        key=anchor(name),
        name=name,
        sheet=sheet,
        notes=list(dict.fromkeys(notes(sheet))),
        problems=shown,
        panel=axis_panel(sheet),
        charts=charts,
        verdicts=verdicts,
        commands=_commands(sheet),
    )


def _commands(sheet: Sheet) -> list[tuple[str, str]]:
    """Every cell's whole command, whether or not it has been run; one for cells that share it."""
    found: dict[str, list[str]] = {}
    for filled in sheet.cells:
        if filled.words:
            whole = dataclasses.replace(filled, samples={}).command
            found.setdefault(whole, []).append(f"{filled.cell.row}, {filled.cell.column}")
    return [("; ".join(places), command) for command, places in found.items()]


def _charts(sheet: Sheet) -> tuple[list[Chart], list[str]]:
    """The curves of each column's rows, and the logs that cannot be read."""
    charts: list[Chart] = []
    unread: dict[str, None] = {}
    drawn: set[frozenset[str]] = set()
    for column in sheet.table.columns:
        variants: dict[str, Filled] = {}
        for places in sheet.places.values():  # rows that read one run in two ways share its curve
            variants.setdefault(places[column].variant, places[column])
        if frozenset(variants) in drawn:
            continue
        drawn.add(frozenset(variants))
        groups: list[Group] = []
        for filled in variants.values():
            try:
                logs = _logs(filled.records)
            except RunFailed as error:
                unread[f"{error}: its curve is left out"] = None
                continue
            if logs:
                groups.append(Group(filled.cell.row, logs))
        for metric in default_metrics(groups):
            axis, lines = curves(groups, metric)
            label = axis_label(metric)
            title = f"{label}, {column}" if len(sheet.table.columns) > 1 else label
            title = title[:1].upper() + title[1:]
            charts.append(curve_chart(title, Panel(metric, axis, lines)))
    return charts, list(unread)


def _logs(records: Sequence[Record]) -> list[list[dict[str, object]]]:
    files = [record.path / METRICS for record in records if record.path is not None]
    return [read_lines(file) for file in files if file.is_file()]


def run_view(record: Record, folder: Path) -> RunView:
    code = record.summary.get("code")
    code = code if isinstance(code, dict) else {}
    cost = record.summary.get("cost") or {}
    seconds = cost.get("seconds")
    commit = str(code.get("commit") or "")[:10]
    return RunView(
        seed=record.seed,
        state=record.state,
        href=link(record.source, folder),
        where=str(record.source),
        digest=str(record.summary.get("digest") or ""),
        code=" ".join(
            str(part)
            for part in (code.get("version"), commit, "with changes" * bool(code.get("dirty")))
            if part
        ),
        device=str(cost.get("device") or ""),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
    )


def variant_views(
    scan: Scan, asked: Mapping[tuple[str, str], str], folder: Path
) -> dict[tuple[str, str], VariantView]:
    """Every variant of the results tree; `asked`: the metric that a table takes of it."""
    runs: dict[tuple[str, str], list[Record]] = {}
    for record in scan.records:
        runs.setdefault((record.experiment, record.variant), []).append(record)
    firsts = [records[0] for records in runs.values()]
    differing = {e: differing_keys([r for r in firsts if r.experiment == e])
                 for e in dict.fromkeys(record.experiment for record in firsts)}  # fmt: skip
    return {
        key: _variant_view(key, records, differing[key[0]], asked.get(key, ""), folder)
        for key, records in runs.items()
    }


def _variant_view(
    key: tuple[str, str], records: Sequence[Record], differing: Sequence[str], asked: str,
    folder: Path,
) -> VariantView:  # fmt: skip
    finished = [metrics(record.summary) for record in records if record.state == "finished"]
    known = finished[0] if finished else {}
    metric = asked if asked in known else next((m for m in known if "/" in m), "")
    values = [found[metric] for found in finished if metric in found]
    own = config_values(records[0]) if differing else {}
    return VariantView(
        *key,
        runs=[run_view(record, folder) for record in records],
        differs=[f"{name}={own[name]}" for name in differing if name in own],
        metric=metric,
        value=str(mean_interval(values)) if values else "",
    )


def link(target: Path, folder: Path) -> str:
    """A relative address, so that site and results can be moved together."""
    return quote(os.path.relpath(target, folder), safe="/=")


def is_web(url: str | None) -> bool:
    """Whether an address from a file may become a link: no `javascript:` and the like."""
    return url is not None and re.match(r"https?://", url, re.IGNORECASE) is not None
