"""Adult: 48,842 people of the 1994 US census; does one earn more than 50,000 dollars a year?

B. Becker and R. Kohavi, https://archive.ics.uci.edu/dataset/2, with UCI's split. The sensitive
group is sex (1: Male). Effort can change years of schooling and hours of work a week. The sampling
weight fnlwgt and the name of the education, which repeats its number of years, are left out.

The columns are those of https://huggingface.co/datasets/scikit-learn/adult-census-income, which has
no test part and no Parquet files: a user writes UCI's adult.data and adult.test to train.parquet
and test.parquet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from ppr.data.card import Card
from ppr.data.tabular.table import ParquetTable
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.tabular.table import People


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
