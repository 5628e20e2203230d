"""The runs behind a paper's cells as one file of records, a line a run, to be committed.

A line holds all that the run's digest covers, so that a clone can verify it; what a run leaves
beside that (curves, checkpoints, how fast it trained) stays where it was computed. The same runs
give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppr.errors import RunFailed
from ppr.papers.cells import Filled
from ppr.papers.records import faults, label
from ppr.results.export import whole
from ppr.results.files import write_atomic
from ppr.results.published import encode
from ppr.results.tree import Record, Scan, without_rates


def records_of(cells: Iterable[Filled], seen: Scan) -> list[Record]:
    """The finished runs that cells ask for, edited ones too, each once, in the tree's order."""
    asked = {
        (cell.experiment, cell.variant, seed): cell.cell.table.scale
        for cell in cells
        for seed in cell.cell.seeds(cell.asked)
    }
    found = {
        label(record): record
        for record in seen.records
        if record.state == "finished"
        and record.summary.get("scale")
        == asked.get((record.experiment, record.variant, record.seed), "no cell's")
    }
    return sorted(
        found.values(), key=lambda record: (record.experiment, record.variant, record.seed)
    )


def publish(records: Sequence[Record], file: Path) -> int:
    """Write the records to `file`; its size in bytes.

    Raises:
        RunFailed: a record does not verify; nothing is written.
    """
    for record in records:
        for fault in faults(record):
            raise RunFailed(f"{label(record)}: {fault}; nothing published")
    content = encode(_light(whole(record)) for record in records).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, content)
    return len(content)


def _light(run: Mapping[str, Any]) -> dict[str, Any]:
    return {**run, "summary": without_rates(run["summary"])}
