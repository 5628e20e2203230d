"""The base of tabular data sets: columns of a Parquet file as numbers, with a sensitive group.

Every row becomes float32 inputs [F]: the numeric columns as they are, each categorical column as
one input a category (in alphabetical order), and last, where `aware`, the group. `Dataset.mean` and
`Dataset.std` standardise the numeric inputs by the training part, where the set wants it, and
leave the others alone: `augment=none` applies them. The group is also in `Split.extra["group"]`,
and `Dataset.extra["improvable"]` says of each input whether effort can change it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ppr.data import hub
from ppr.data.source import ArraySource
from ppr.data.tables import read_parquet
from ppr.errors import BadRequest, RunFailed
from ppr.fields import Count

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from ppr.data.dataset import Dataset, Split
    from ppr.data.source import Examples

    People = tuple[np.ndarray, np.ndarray, np.ndarray]
    """Which rows of a table are used [N], the targets [N] and the groups [N] of all."""


class TabularSource(ArraySource):
    """`numeric` columns, `categorical` ones with how many categories each has, `improvable` ones.

    `read` gives inputs whose last column is the group, whether or not the model is shown it.
    """

    numeric: tuple[str, ...]
    categorical: ClassVar[Mapping[str, int]] = {}
    improvable: tuple[str, ...]
    standardised = True

    def __init__(self, root: Path | None = None, *, aware: bool = True, **shared: Any) -> None:
        super().__init__(root, **shared)
        self.aware = aware
        width = len(self.numeric) + sum(self.categorical.values()) + aware
        self.card = replace(self.card, shape=(width,))

    def load(self) -> Dataset:
        return self._grouped(super().load())

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        """Random data, with the sign of one more random number as the group."""
        import torch

        data = super().synthetic(n, seed)
        random = torch.Generator().manual_seed(seed)

        def with_group(split: Split) -> Split:
            group = torch.randint(0, 2, (len(split), 1), generator=random).to(split.inputs.dtype)
            kept = split.inputs[:, : data.shape[0] - self.aware]
            return replace(split, inputs=torch.cat([kept, group], dim=1))

        return self._grouped(_mapped(data, with_group))

    def _grouped(self, data: Dataset) -> Dataset:
        from ppr.data.dataset import digest

        def with_extra(split: Split) -> Split:
            inputs = split.inputs if self.aware else split.inputs[:, :-1].contiguous()
            return replace(split, inputs=inputs, extra={"group": split.inputs[:, -1].long()})

        data = _mapped(data, with_extra)
        splits: Any = {"train": data.train, "validation": data.validation, "test": data.test}
        others = data.shape[0] - len(self.numeric)
        mean, std = self._statistics(splits["train"]) if self.standardised else ([], [])
        return replace(
            data,
            mean=(*mean, *[0.0] * (data.shape[0] - len(mean))),
            std=(*std, *[1.0] * (data.shape[0] - len(std))),
            digest=digest(splits),
            extra={
                **data.extra,
                "improvable": tuple(name in self.improvable for name in self.numeric)
                + (False,) * others,
            },
        )

    def _statistics(self, split: Split) -> tuple[list[float], list[float]]:
        numbers = split.inputs[:, : len(self.numeric)].double()
        std = numbers.std(0, correction=0)
        std[std == 0] = 1
        return numbers.mean(0).tolist(), std.tolist()


class ParquetTable(TabularSource):
    """A table in Parquet files. Of one published without a test part, `test` rows are set apart.

    That is done by class, with `split_seed`.
    """

    def __init__(
        self, root: Path | None = None, *, test: Count | None = None, **shared: Any
    ) -> None:
        super().__init__(root, **shared)
        if "test" in self.card.files:
            if test is not None:
                raise BadRequest(
                    f"dataset.test={test}: {self.card.name} has a test part; allowed: null"
                )
            return
        total = self.card.rows["train"]
        test = total // 5 if test is None else test
        if test >= total:
            raise BadRequest(f"dataset.test={test}: must be less than the {total} rows")
        self.card = replace(self.card, rows={"train": total - test, "test": test})

    @abstractmethod
    def people(self, columns: Mapping[str, np.ndarray]) -> People:
        """Which rows are used, their targets and their groups."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read: the inputs', and those that `people` looks at."""
        return (*self.numeric, *self.categorical)

    def read(self) -> Mapping[str, Examples]:
        import numpy as np

        from ppr.data.splits import hold_out

        place = hub.locate(self.card, self.root)
        read = {split: self._columns(files) for split, files in place.files.items()}
        known = {
            name: np.unique(np.concatenate([columns[name] for columns in read.values()]))
            for name in self.categorical
        }
        for name, count in self.categorical.items():
            if len(known[name]) != count:
                what = f"has {len(known[name])} categories, where {count} are published"
                raise RunFailed(f"{place.folder}: column {name!r} {what}")
        found = {split: self._encoded(columns, known) for split, columns in read.items()}
        if "test" not in found:
            inputs, targets = found["train"]
            kept, held = hold_out(targets, self.card.rows["test"], self.split_seed)
            found = {
                part: (inputs[at], targets[at]) for part, at in (("train", kept), ("test", held))
            }
        for split, (_, targets) in found.items():
            if len(targets) != self.card.rows[split]:
                what = f"{len(targets)} rows in split {split}, where there are"
                raise RunFailed(
                    f"{place.folder}: {what} {self.card.rows[split]} in the published one"
                )
        return found

    def _columns(self, files: Sequence[Path]) -> dict[str, np.ndarray]:
        import numpy as np

        tables = [read_parquet(file, self.columns) for file in files]
        return {
            name: np.concatenate([np.asarray(table[name].to_pylist()) for table in tables])
            for name in self.columns
        }

    def _encoded(
        self, columns: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]
    ) -> Examples:
        import numpy as np

        kept, targets, groups = self.people(columns)
        inputs = [columns[name][:, None] for name in self.numeric]
        inputs += [columns[name][:, None] == values for name, values in known.items()]
        table = np.concatenate([part.astype(np.float32) for part in (*inputs, groups[:, None])], 1)
        return table[kept], targets[kept].astype(np.int64)


def _mapped(data: Dataset, change: Any) -> Dataset:
    held = None if data.validation is None else change(data.validation)
    return replace(data, train=change(data.train), validation=held, test=change(data.test))
