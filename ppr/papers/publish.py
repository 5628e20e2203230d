"""The runs behind a paper's cells as one file of records, a line a run, to be committed.

A line holds all that the run's digest covers, so that a clone can verify it; what a run leaves
beside that (curves, checkpoints) stays where it was computed. The same runs give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from ppr.errors import RunFailed
from ppr.papers.cells import Filled
from ppr.papers.records import faults, label
from ppr.results.export import published_line
from ppr.results.files import write_atomic
from ppr.results.tree import Record


def records_of(cells: Iterable[Filled]) -> list[Record]:
    """The finished runs behind cells, each once, in the order of the tree."""
    found = {label(record): record for cell in cells for record in cell.records}
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
    lines = [
        json.dumps(published_line(record), separators=(",", ":"), allow_nan=False)
        for record in records
    ]
    content = "".join(f"{line}\n" for line in lines).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, content)
    return len(content)
