"""The base of published tables: a paper's result files, each a table of rows, as a study reads it.

A set is a folder of Parquet files, `<root>/<name>/<table>.parquet`, made of files that somebody
published (`Card.source` names the commit). The card knows each table's rows and the SHA-256 of
what it says (`content_digest` of ppr/data/tables.py): another table is refused, whoever wrote it.
With `originals`, `ppr data fetch` gets the published files and makes the tables of them.

A sample is a row of the first table, known by its number; `Dataset.extra["tables"]` has the tables,
each a column's name -> its values [rows]: numbers (float64 with NaN where nothing stands), text, or
objects. A new set is one file with a card, as its kin here; a study of one is a `PublishedStudy`
(ppr/studies/published.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub
from ppr.data.card import Card, Original
from ppr.data.source import Source
from ppr.data.tables import content_digest, read_parquet
from ppr.errors import RunFailed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ppr.data.dataset import Dataset

    Table = Mapping[str, np.ndarray]
    """The columns of a table, by name, [rows] each."""


def published(
    name: str,
    source: str,
    licence: str,
    tables: Mapping[str, tuple[int, str]],
    originals: Mapping[str, Original] | None = None,
    unpack: Callable[[Path, Mapping[str, Path]], None] | None = None,
) -> Card:
    """A set's card; `tables` are its tables' rows and content digests, by name."""
    return Card(
        name=name,
        shape=(1,),
        classes=(),
        rows={table: rows for table, (rows, _) in tables.items()},
        source=source,
        licence=licence,
        files={table: f"{table}.parquet" for table in tables},
        digests={table: digest for table, (_, digest) in tables.items()},
        originals=originals or {},
        unpack=unpack,
    )


class PublishedTables(Source):
    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)

    def tables(self) -> dict[str, Table]:
        """
        Raises:
            BadRequest: the files are not here and cannot be had.
            RunFailed: one of them is torn or does not say what was published.
        """
        place = hub.locate(self.card, self.root)
        found: dict[str, Table] = {}
        for name, (file, *_) in place.files.items():
            table = read_parquet(file)
            if content_digest(table) != self.card.digests[name]:
                what = f"{len(table):,} rows that are not the {self.card.rows[name]:,} published"
                raise RunFailed(f"{file}: {what} by {self.card.source}")
            found[name] = {column: _values(table[column]) for column in table.column_names}
        return found

    def load(self) -> Dataset:
        from dataclasses import replace

        import torch

        rows = next(iter(self.card.rows.values()))
        data = self._assemble(torch.zeros(rows), {"tables": self.tables()})
        whole = "".join(f"{digest}  {name}\n" for name, digest in self.card.digests.items())
        return replace(data, digest=hashlib.sha256(whole.encode()).hexdigest())

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        """Numbers of rows without tables: a study makes up its own."""
        import torch

        return self._assemble(torch.rand(n, generator=torch.Generator().manual_seed(seed)), {})

    def _assemble(self, targets: Tensor, extra: Mapping[str, Any]) -> Dataset:
        import torch

        from ppr.data.dataset import Split, assemble

        rows = Split(torch.arange(len(targets))[:, None], targets)
        return assemble(self.card, rows, None, rows, extra)


def _values(column: Any) -> np.ndarray:
    """A column as an array: numbers with NaN for null, else what it holds."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind) and not column.null_count:
        return np.asarray(column.to_numpy())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.asarray(column.to_numpy())
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values
