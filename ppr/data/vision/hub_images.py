"""Any labelled image set on the hub, streamed from disk: images of different sizes, in Parquet.

For sets too big for memory, of ImageNet's kind. Rows are read at random from a memory-mapped Arrow
copy that Hugging Face `datasets` makes once in ppr's cache (as big as the Parquet files), then
decoded and resized to a square of `size` in loader processes. Channels are normalised with the mean
and deviation that torchvision documents for its ImageNet models, unless `mean` and `std` are given
(https://pytorch.org/vision/stable/models.html).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub as place_of
from ppr.data.card import Card
from ppr.data.columns import as_text, columns, in_order, read_schema
from ppr.data.decode import label_column
from ppr.data.source import Source
from ppr.errors import BadRequest, RunFailed, choices
from ppr.fields import Count
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset
    from ppr.data.stream import StreamSplit


@component("dataset", inputs="image", targets="class")
class HubImages(Source):
    """`hub` is the repository; `train` and `test` its Parquet files; `image`, `label` its columns.

    Columns of other names, and `classes` where it is not given, are found in the files; classes may
    be numbers or words.
    In a local mirror the folder is `<root>/<repository name>` or `<root>/<hub>`.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        hub: str,
        classes: Count | None = None,
        train: str = "data/train-*.parquet",
        test: str = "data/validation-*.parquet",
        image: str = "image",
        label: str = "label",
        size: Count = 224,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        mean, std = mean or [0.485, 0.456, 0.406], std or [0.229, 0.224, 0.225]
        for field, values in (("mean", mean), ("std", std)):
            if len(values) != 3:
                raise BadRequest(f"dataset.{field}={values}: must have 3 numbers, one a channel")
        self.card = Card(
            name=hub.rsplit("/", 1)[-1],
            shape=(3, size, size),
            classes=tuple(str(number) for number in range(classes or 0)),
            rows={},
            source=f"https://huggingface.co/datasets/{hub}",
            licence="see the source",
            hub=hub,
            files={"train": train, "test": test},
            columns={"input": image, "target": label},
            mean=tuple(mean),
            std=tuple(std),
        )

    def load(self) -> Dataset:
        from ppr.data.dataset import Dataset

        place = place_of.locate(self.card, self.root)
        tables = {split: _table(files) for split, files in place.files.items()}
        image, label = self._columns(tables["train"], place.files["train"][0])
        for split, table in tables.items():
            _check(table, image, label, place.files[split][0])
        labels, classes = self._labels(tables, label, place.folder)

        def part(split: str, rows: Any = None) -> StreamSplit:
            from ppr.data.stream import StreamSplit

            size, where = self.card.shape[1], place.folder
            return StreamSplit(
                tables[split], image, labels[split], size=size, where=where, rows=rows
            )

        kept, held = self.split(labels["train"])
        train, test = part("train", kept), part("test")
        validation = None if held is None else part("train", held)
        return Dataset(
            name=self.card.name,
            train=train,
            validation=validation,
            test=test,
            shape=self.card.shape,
            classes=classes,
            mean=self.card.mean,
            std=self.card.std,
            digest=_digest(place, self.card.shape, (train, validation, test)),
        )

    def _columns(self, table: Any, file: Path) -> tuple[str, str]:
        """The columns that are named, or, where they have the usual names in vain, those found."""
        asked = self.card.columns["input"], self.card.columns["target"]
        there = table.column_names
        image, label = (
            None if name == usual and name not in there else name
            for name, usual in zip(asked, ("image", "label"), strict=True)
        )
        return columns(read_schema(file), str(file), image, label)

    def _labels(
        self, tables: Mapping[str, Any], label: str, where: Path
    ) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """The class number of each row of each split, and what the classes are called."""
        import numpy as np

        arrow = {s: t.select_columns([label]).with_format("arrow")[:] for s, t in tables.items()}
        if self.card.classes:
            count = len(self.card.classes)
            numbers = {s: label_column(table, label, count, where) for s, table in arrow.items()}
            return numbers, self.card.classes
        names = getattr(tables["train"].features[label], "names", None)
        named = tuple(names) if names else None
        texts = {s: as_text(t[label].to_pylist(), named, str(where)) for s, t in arrow.items()}
        classes = in_order({text for part in texts.values() for text in part}, named)
        number = {name: index for index, name in enumerate(classes)}
        return {s: np.array([number[text] for text in part]) for s, part in texts.items()}, classes


def _check(table: Any, image: str, label: str, file: Path) -> None:
    """Columns that are there, and images that lie in the file and not beside it."""
    for field, column in (("image", image), ("label", label)):
        if column not in table.column_names:
            known = choices(column, table.column_names)
            raise BadRequest(f"dataset.{field}={column}: no such column in {file}; {known}")
    cell = table.with_format("arrow").select(range(min(1, len(table))))[:][image].to_pylist()
    if cell and isinstance(cell[0], dict) and not cell[0].get("bytes") and cell[0].get("path"):
        raise RunFailed(
            f"{file}: column {image!r} holds paths and no images; datasets' "
            "embed_table_storage puts them into the table before it is written"
        )


def _table(files: list[Path]) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    from ppr.config.places import cache_root

    names = [str(file) for file in files]
    try:
        cache = str(cache_root() / "arrow")
        return load_dataset("parquet", data_files=names, split="train", cache_dir=cache)
    except (DatasetGenerationError, OSError, ValueError) as error:
        reason = str(error.__cause__ or error).strip().split("\n", 1)[0]
        raise RunFailed(f"{files[0].parent}: {files[0].name} …: {reason}") from None


def _digest(
    place: place_of.Place, shape: tuple[int, ...], splits: tuple[StreamSplit | None, ...]
) -> str:
    """SHA-256 over the files' names and sizes, the image shape and the splits' rows and targets.

    Not over the pixels: hashing a hundred gigabytes would take longer than many a run.
    """
    sizes = [(file.name, file.stat().st_size) for files in place.files.values() for file in files]
    seen = hashlib.sha256(repr((sizes, shape)).encode())
    for split in splits:
        seen.update(repr(None if split is None else len(split)).encode())
        if split is not None:
            seen.update(split.targets.numpy().data)
            if split.rows is not None:
                seen.update(split.rows.data)
    return seen.hexdigest()
