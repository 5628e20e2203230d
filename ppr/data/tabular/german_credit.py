"""German credit: 1,000 bank customers; is one a good risk?

H. Hofmann, https://archive.ics.uci.edu/dataset/144 (Statlog). The sensitive group is age (1: older
than 30), as in utils/dataloaders.py of https://github.com/guldoganozgur/ei_fairness, and not an
input beside that. Effort can change the loan asked for: its duration, its amount, its rate. It has
no published split; a fifth is set apart by class with `split_seed`.

It is not on the hub: `ppr data fetch german_credit` writes UCI's german.data, with its codes, to
train.parquet.
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

YOUNG = 30


UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases"
COLUMNS = (
    "status", "duration", "credit_history", "purpose", "credit_amount", "savings",
    "present_employment", "installment_rate", "status_sex", "other_debtors",
    "present_residence_since", "property", "age", "installment_plans", "housing",
    "number_of_existing_credits", "job", "number_of_people_liable_for", "telephone",
    "foreign_worker", "credit",
)  # fmt: skip


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    text = files["german.data"].read_bytes()
    originals.table(text, folder / "train.parquet", COLUMNS, delimiter=" ")


@component("dataset", inputs="vector", targets="class", has="groups")
class GermanCredit(ParquetTable):
    card = Card(
        name="german_credit",
        shape=(),
        classes=("bad", "good"),
        rows={"train": 1000},
        source="https://archive.ics.uci.edu/dataset/144",
        licence="see the source",
        files={"train": "train.parquet"},
        originals={
            "german.data": Original(
                f"{UCI}/statlog/german/german.data",
                "b21f3d81db8071257d5ff1deaeba1fd4303b62712e6fcc9715c7a86202cb5871",
            )
        },
        unpack=unpack,
    )
    numeric = (
        "duration",
        "credit_amount",
        "installment_rate",
        "present_residence_since",
        "number_of_existing_credits",
        "number_of_people_liable_for",
    )
    categorical: ClassVar = {
        "status": 4,
        "credit_history": 5,
        "purpose": 10,
        "savings": 5,
        "present_employment": 5,
        "status_sex": 4,
        "other_debtors": 3,
        "property": 4,
        "installment_plans": 3,
        "housing": 3,
        "job": 4,
        "telephone": 2,
        "foreign_worker": 2,
    }
    improvable = ("duration", "credit_amount", "installment_rate")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*super().columns, "age", "credit")

    def people(self, columns: Mapping[str, np.ndarray]) -> People:
        import numpy as np

        good, older = columns["credit"] == 1, columns["age"] > YOUNG
        return np.ones(len(good), dtype=bool), good, older
