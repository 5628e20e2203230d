"""COMPAS: 5,278 defendants in Broward County, Florida; does one stay out of jail for two years?

J. Angwin, J. Larson, S. Mattu and L. Kirchner, "Machine Bias", ProPublica 2016: the file
compas-scores-two-years.csv of https://github.com/propublica/compas-analysis. Of its 7,214 rows
those are used that ProPublica's own analysis keeps (6,172) and whose race is one of the two that it
compares. Class 1, the good outcome, is no new offence within two years. The sensitive group is race
(1: Caucasian). Nothing here can be changed by effort but the number of prior offences, and that
only in time. It has no published split; a fifth is set apart by class with `split_seed`.

It is not on the hub in this form: `ppr data fetch compas` writes the csv to train.parquet, without
the columns that name people.
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

RACES = ("African-American", "Caucasian")
DAYS = 30


COMMIT = "bafff5da3f2e45eca6c2d5055faad269defd135a"
FILE = "compas-scores-two-years.csv"
PERSONAL = ("name", "first", "last", "dob", "c_case_number", "r_case_number", "vr_case_number")


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    """Two columns have the name of another: `.1` is added to the second, as pandas does."""
    head, text = files[FILE].read_bytes().split(b"\n", 1)
    given = head.decode().strip().split(",")
    names = [f"{name}.1" if name in given[:at] else name for at, name in enumerate(given)]
    originals.table(text, folder / "train.parquet", names, drop=PERSONAL)


@component("dataset", inputs="vector", targets="class", has="groups")
class Compas(ParquetTable):
    card = Card(
        name="compas",
        shape=(),
        classes=("offended again", "did not"),
        rows={"train": 5278},
        source="https://github.com/propublica/compas-analysis",
        licence="none stated",
        files={"train": "train.parquet"},
        originals={
            FILE: Original(
                f"https://raw.githubusercontent.com/propublica/compas-analysis/{COMMIT}/{FILE}",
                "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",
            )
        },
        unpack=unpack,
    )
    numeric = ("age", "priors_count", "juv_fel_count", "juv_misd_count", "juv_other_count")
    categorical: ClassVar = {"sex": 2, "c_charge_degree": 2}
    improvable = ("priors_count",)

    @property
    def columns(self) -> tuple[str, ...]:
        own = ("race", "two_year_recid", "days_b_screening_arrest", "is_recid", "score_text")
        return (*super().columns, *own)

    def people(self, columns: Mapping[str, np.ndarray]) -> People:
        import numpy as np

        days = columns["days_b_screening_arrest"].astype(float)  # None becomes NaN: not kept
        kept = (
            (np.abs(days) <= DAYS)
            & (columns["is_recid"] != -1)
            & (columns["c_charge_degree"] != "O")
            & (columns["score_text"] != "N/A")
            & np.isin(columns["race"], RACES)
        )
        return kept, columns["two_year_recid"] == 0, columns["race"] == "Caucasian"
