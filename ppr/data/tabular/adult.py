"""Adult: 48,842 people of the 1994 US census; does one earn more than 50,000 dollars a year?

B. Becker and R. Kohavi, https://archive.ics.uci.edu/dataset/2, with UCI's split. The sensitive
group is sex (1: Male). Effort can change years of schooling and hours of work a week. The sampling
weight fnlwgt and the name of the education, which repeats its number of years, are left out.

The columns are those of https://huggingface.co/datasets/scikit-learn/adult-census-income, which has
no test part and no Parquet files: `ppr data fetch adult` writes UCI's adult.data and adult.test to
train.parquet and test.parquet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ppr.data import originals
from ppr.data.card import Card, Original
from ppr.data.tabular.table import ParquetTable
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.tabular.table import People


UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult"
COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education.num", "marital.status", "occupation",
    "relationship", "race", "sex", "capital.gain", "capital.loss", "hours.per.week",
    "native.country", "income",
)  # fmt: skip


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    """UCI's text has a blank after each comma; its test part a line on top and a dot at the end."""
    for part, name, skip in (("train", "adult.data", 0), ("test", "adult.test", 1)):
        lines = files[name].read_text(encoding="utf-8").splitlines()[skip:]
        rows = [line.replace(", ", ",").removesuffix(".") for line in lines if line]
        originals.table("\n".join(rows).encode(), folder / f"{part}.parquet", COLUMNS)


@component("dataset", inputs="vector", targets="class", has="groups")
class Adult(ParquetTable):
    card = Card(
        name="adult",
        shape=(),
        classes=("<=50K", ">50K"),
        rows={"train": 32_561, "test": 16_281},
        source="https://archive.ics.uci.edu/dataset/2",
        licence="see the source",
        files={"train": "train.parquet", "test": "test.parquet"},
        originals={
            "adult.data": Original(
                f"{UCI}/adult.data",
                "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            ),
            "adult.test": Original(
                f"{UCI}/adult.test",
                "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
            ),
        },
        unpack=unpack,
    )
    numeric = ("age", "education.num", "capital.gain", "capital.loss", "hours.per.week")
    categorical: ClassVar = {
        "workclass": 9,
        "marital.status": 7,
        "occupation": 15,
        "relationship": 6,
        "race": 5,
        "native.country": 42,
    }
    improvable = ("education.num", "hours.per.week")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*super().columns, "sex", "income")

    def people(self, columns: Mapping[str, np.ndarray]) -> People:
        import numpy as np

        rich, male = columns["income"] == ">50K", columns["sex"] == "Male"
        return np.ones(len(rich), dtype=bool), rich, male
