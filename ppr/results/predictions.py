"""The predictions of a run, sample by sample, where its evaluators were asked to keep them.

A file an evaluator in `predictions/` of the run's directory, Parquet, a row a sample of the split
in its order: `target` and `predicted` are classes, `right` is what the sample adds to top-1: 1 or
0, and of classes that score the same its share.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppr.errors import RunFailed
from ppr.registry import KEEP
from ppr.results.files import write_atomic

FOLDER = "predictions"
_COLUMNS = ("target", "predicted", "right")
_FACTS = ("split", "data")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Arrays [N] of one split's samples: integers, integers, floats in [0, 1]."""

    target: Any
    predicted: Any
    right: Any


def keepers(values: Mapping[str, Any]) -> list[str]:
    """The evaluators of a config that are to keep their predictions."""
    return [name for name, node in (values.get("evaluator") or {}).items() if node.get(KEEP.name)]


def lacking(values: Mapping[str, Any], folder: Path) -> list[str]:
    """The evaluators that are to have kept theirs in a run's directory, and have not."""
    return [name for name in keepers(values) if not _file(folder, name).is_file()]


def keep(folder: Path, evaluator: str, found: Predictions, facts: Mapping[str, str]) -> None:
    """Write them. `facts`: the `split`, and the digest of the `data` that it is of."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: getattr(found, name) for name in _COLUMNS})
    text = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({key: facts[key] for key in _FACTS}), text)
    (folder / FOLDER).mkdir(exist_ok=True)
    write_atomic(_file(folder, evaluator), text.getvalue())


def kept(folder: Path) -> list[str]:
    """The evaluators whose predictions a run's directory has."""
    return sorted(path.stem for path in (folder / FOLDER).glob("[!.]*.parquet"))


def read_kept(folder: Path, evaluator: str) -> tuple[Predictions, dict[str, str]]:
    """The predictions of one evaluator, and their facts.

    Raises:
        RunFailed: the file cannot be read, or is of something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _file(folder, evaluator)
    try:
        table = pq.read_table(path, partitioning=None)
        columns = [table[name].to_numpy() for name in _COLUMNS]
        said = table.schema.metadata or {}
        return Predictions(*columns), {key: said[key.encode()].decode() for key in _FACTS}
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise RunFailed(f"{path}: no predictions of ppr's: {reason}") from None


def _file(folder: Path, evaluator: str) -> Path:
    return folder / FOLDER / f"{evaluator}.parquet"
