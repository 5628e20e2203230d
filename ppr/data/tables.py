"""Tables read from Parquet files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppr.errors import RunFailed, choices


def read_parquet(file: Path, columns: Sequence[str]) -> Any:
    """The named columns of one Parquet file, as a pyarrow Table, read by Hugging Face `datasets`.

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
