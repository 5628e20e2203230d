"""Runs as a flat table, CSV or Parquet, or as a file of published records, JSON lines.

Columns of a flat table: the run's identity, its metrics by path (`linear/top1`, `cost/seconds`),
the rest of the summary (`data/digest`), the config by dotted key (`config.loss.temperature`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppr.errors import BadRequest
from ppr.results.files import write_atomic
from ppr.results.metrics import flatten, metrics
from ppr.results.published import encode
from ppr.results.select import config_values
from ppr.results.spreadsheet import inert
from ppr.results.tree import Record

FORMATS = (".csv", ".parquet", ".jsonl")


def export(records: Sequence[Record], path: Path) -> int:
    """Write the runs to `path` in the format of its suffix; the number of rows written.

    Raises:
        BadRequest: another suffix.
        RunFailed: a run's config cannot be read, or the file not written.
    """
    if path.suffix not in FORMATS:
        raise BadRequest(f"--export {path}: the name must end with {', '.join(FORMATS)}")
    if path.suffix == ".jsonl":
        runs = [whole(record) for record in records if record.state == "finished"]
        write_atomic(path, encode(runs))
        return len(runs)
    rows = [flat_row(record) for record in records]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_atomic(path, (_csv if path.suffix == ".csv" else _parquet)(columns, rows))
    return len(rows)


def whole(record: Record) -> dict[str, Any]:
    """All of a run that is needed to trust and repeat it."""
    if record.path is None:
        return dict(record.line)
    return {
        "summary": record.summary,
        "config": record.config(),
        "environment": record.environment(),
    }


def flat_row(record: Record) -> dict[str, Any]:
    rest = {k: v for k, v in record.summary.items() if k not in ("metrics", "untrained")}
    best = {k: v for k, v in (rest.pop("best", None) or {}).items() if k != "metrics"}
    config = {f"config.{key}": value for key, value in config_values(record).items()}
    row = {
        "experiment": record.experiment,
        "variant": record.variant,
        "seed": record.seed,
        "state": record.state,
        "source": str(record.source),
        **metrics(record.summary),
        **{f"best/{key}": value for key, value in best.items()},
        **flatten(rest, "/"),
        **config,
    }
    return {key: json.dumps(v) if isinstance(v, list) else v for key, v in row.items()}


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(inert, columns))
    writer.writerows([inert(row.get(column)) for column in columns] for row in rows)
    return file.getvalue().encode()


def _parquet(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    def column(name: str) -> Any:
        values = [row.get(name) for row in rows]
        try:
            return pyarrow.array(values)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):  # a field of several types: text
            return pyarrow.array([None if v is None else str(v) for v in values])

    table = pyarrow.table({name: column(name) for name in columns})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data
