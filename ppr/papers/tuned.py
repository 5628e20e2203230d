"""The tuning of a paper's tables: all its choices, and the runs that they rest on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ppr.errors import BadRequest, choices
from ppr.papers.cells import MONITORED, Cell, Filled, Results, cells
from ppr.papers.table_schema import Table
from ppr.papers.tuning import Choice

if TYPE_CHECKING:
    from ppr.config.composed import Config
    from ppr.papers.schema import Paper

VALIDATION = "validation/"


def table_choices(filled: Iterable[Filled]) -> list[Choice]:
    """Every choice that some cells rest on, once each."""
    found = {(f.choice.row, f.choice.columns): f.choice for f in filled if f.choice}
    return [*found.values()]


def tuning_runs(paper: Paper, results: Results) -> list[Filled]:
    """The cells of every table's tuning with their runs, those of one variant once.

    Tables whose experiments are yet to come have none.
    """
    found: dict[tuple[str, str], Filled] = {}
    for name, table in paper.tables.items():
        for each in _of_table(name, table, results):
            found.setdefault((each.experiment, each.variant), each)
    return [*found.values()]


def _of_table(name: str, table: Table, results: Results) -> list[Filled]:
    there = []
    for cell in cells(name, table) if table.tune else ():
        try:
            results.untuned(cell)
        except BadRequest:  # its experiment is yet to come
            continue
        there += results.trials(cell)
    return there


def check_metric(cell: Cell, config: Config) -> None:
    """Refuse tuning runs that will not have the metric by which is chosen.

    Raises:
        BadRequest: a run that trains records of the validation split what it is watched by alone.
    """
    if not config["optimizer"] and cell.metric != MONITORED:
        return  # a study says itself what it measures
    engine = config["engine"]
    watched = str(engine["monitor"] or "").removeprefix("-")
    where = f"tables.{cell.name}.tune"
    if not watched or not engine["evaluate_every"]:
        raise BadRequest(
            f"{where}: {cell.row}: its runs measure nothing on the validation split; "
            "`words: engine.monitor=EVALUATOR/METRIC engine.evaluate_every=EPOCHS` has them do so"
        )
    if cell.metric not in (MONITORED, VALIDATION + watched):
        known = choices(cell.metric, [VALIDATION + watched])
        raise BadRequest(f"{where}.metric={cell.metric!r}: {cell.row}: its runs lack it; {known}")
