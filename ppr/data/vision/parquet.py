"""Your own images in Parquet files: `data.root/*.parquet`, in the form of Hugging Face `datasets`.

A file named train…, test… or validation… (val…), or in a folder of that name, is of that split;
files of other names are of the training part. The columns are found: the one of encoded images and
the one of classes, which may be numbers or words. `image` and `label` name them where several fit.
Images of any size become squares of one: the largest centred one of each, resized.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ppr.data.columns import as_text, class_names, columns, in_order, read_schema
from ppr.data.own import OwnImages, Pictures, part_of, splits_of
from ppr.errors import BadRequest, RunFailed
from ppr.registry import component


@component("dataset", inputs="image", targets="class", finds="contents")
class Parquet(OwnImages):
    def __init__(
        self,
        root: Path | None = None,
        *,
        image: str | None = None,
        label: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.image, self.label = image, label

    def files(self) -> Mapping[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for file in sorted(self.folder.rglob("*.parquet")):
            within = file.relative_to(self.folder).parts
            named = (part_of(re.split(r"[-_.]", part)[0]) for part in reversed(within))
            found.setdefault(next(filter(None, named), "train"), []).append(file)
        if not found:
            raise BadRequest(f"{self.folder}: no Parquet files (*.parquet) in it")
        return splits_of(found, self.folder)

    def pictures(self) -> Mapping[str, Pictures]:
        return self._pictures

    def in_order(self, labels: set[str]) -> tuple[str, ...]:
        return in_order(labels, self._names)

    @cached_property
    def _columns(self) -> tuple[str, str]:
        first = self.files()["train"][0]
        return columns(read_schema(first), str(first), self.image, self.label)

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        return class_names(read_schema(self.files()["train"][0]), self._columns[1])

    @cached_property
    def _pictures(self) -> dict[str, Pictures]:
        return {split: self._read(files) for split, files in self.files().items()}

    def _read(self, files: list[Path]) -> Pictures:
        import pyarrow as pa

        from ppr.data.tables import read_parquet

        image, label = self._columns
        tables = [read_parquet(file, [image, label]) for file in files]
        labels = [
            text
            for file, table in zip(files, tables, strict=True)
            for text in as_text(table[label].to_pylist(), self._names, str(file))
        ]
        whole = pa.concat_tables([table.select([image]) for table in tables])[image]

        def read(row: int) -> tuple[bytes, str]:
            cell, where = whole[row].as_py(), f"{files[0].parent}: row {row}"
            encoded = cell.get("bytes") if isinstance(cell, dict) else cell
            if not isinstance(encoded, bytes):
                what = "a path and no image" if isinstance(cell, dict) else "no encoded image"
                raise RunFailed(
                    f"{where}: column {image!r} holds {what}; datasets' embed_table_storage puts "
                    "images into a table before it is written"
                )
            return encoded, where

        return Pictures(read, labels)
