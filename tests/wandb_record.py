"""Reads W&B's offline record back with W&B's own messages.

wandb up to 0.2x had a reader in Python; later ones read the file in Go alone. The framing is
LevelDB's log format (github.com/google/leveldb, doc/log_format.md) after a header of 7 bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as messages

_BLOCK = 32768
_HEADER = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def _records(path: Path):
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, parts = _HEADER, b""
    while at + _HEADER <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER:  # too little for a frame: filled up with zeros
            at += _BLOCK - at % _BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + _HEADER : at + _HEADER + length]
        at += _HEADER + length
        if kind in (_FULL, _LAST):
            yield messages.Record.FromString(parts)
            parts = b""


def _values(items) -> dict:
    """Keys with their JSON values; what one update says twice, the last word counts."""
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


@dataclass
class Record:
    """What an offline record says."""

    run: messages.RunRecord | None = None
    history: list[dict] = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    metrics: list[messages.MetricRecord] = field(default_factory=list)
    exit_code: int | None = None


def read(folder: Path) -> Record:
    """The record in a folder `offline-run-…`."""
    (path,) = folder.glob("*.wandb")
    found = Record()
    for record in _records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= _values(record.run.config.update)
        elif kind == "config":
            found.config |= _values(record.config.update)
        elif kind == "history":
            found.history.append(_values(record.history.item))
        elif kind == "summary":
            found.summary |= _values(record.summary.update)
        elif kind == "metric":
            found.metrics.append(record.metric)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found
