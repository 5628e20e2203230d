"""Tables read from Parquet files."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppr.errors import RunFailed, choices


def content_digest(table: Any) -> str:
    """SHA-256 of what a pyarrow Table says, however a file of it is laid out.

    That is of its column names, sorted, and of each row's values in their order, a JSON array a
    line: the same for a Parquet file of any writer, version or compression. A whole number is
    written without a dot, whether its column is of integers or not.
    """
    names = sorted(table.column_names)
    seen = hashlib.sha256(f"{json.dumps(names)}\n".encode())
    for batch in table.select(names).to_batches(max_chunksize=10_000):
        columns = [_whole(column.to_pylist()) for column in batch.columns]
        for row in zip(*columns, strict=True):
            seen.update(f"{json.dumps(row, default=str)}\n".encode())
    return seen.hexdigest()


def _whole(values: list[Any]) -> list[Any]:
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]


def read_parquet(file: Path, columns: Sequence[str] | None = None) -> Any:
    """One Parquet file's named columns, or all, as a pyarrow Table, by Hugging Face `datasets`.

    Streaming, because a plain `load_dataset` would write an Arrow copy of the file to the disk.

    Raises:
        RunFailed: the file cannot be read, is torn, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_dataset

    aside = tempfile.TemporaryDirectory()  # else it leaves a lock file a call in the user's home
    try:
        # the footer, written last, tells a torn file and a missing column before any data is read
        known = pq.read_schema(file).names
        columns = known if columns is None else columns
        for column in columns:
            if column not in known:
                raise RunFailed(f"{file}: no column {column!r}; {choices(column, known)}")
        stream = load_dataset(
            "parquet",
            data_files=str(file),
            split="train",
            columns=list(columns),
            streaming=True,
            cache_dir=aside.name,
        )
        batches = stream.with_format("arrow").iter(batch_size=10_000)
        return pa.concat_tables([batch.select(list(columns)) for batch in batches])
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise RunFailed(f"{file}: not a whole Parquet file: {reason}") from None
    finally:
        aside.cleanup()
