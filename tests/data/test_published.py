"""Published tables: read from Parquet, known by what they say, refused when they say another."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toy import refused

import ppr
from ppr import registry
from ppr.data import originals
from ppr.data.check import check
from ppr.data.published.tables import PublishedTables, published
from ppr.data.tables import content_digest
from ppr.errors import BadRequest, RunFailed
from ppr.studies.published import PublishedStudy

COLUMNS = {"size": ["a", "b", None], "step": [1, 2, 3], "loss": [0.5, None, float("nan")]}
LINES = ['["loss", "size", "step"]', '[0.5, "a", 1]', '[null, "b", 2]', "[NaN, null, 3]"]
DIGEST = hashlib.sha256("".join(f"{line}\n" for line in LINES).encode()).hexdigest()
SETS = [
    name
    for name in registry.names("dataset")
    if registry.describe("dataset", name).declared.get("has") == ("tables",)
]


class Toy(PublishedTables):
    card = published("toy", "a page", "MIT", {"runs": (3, DIGEST)})


class ToyStudy(PublishedStudy):
    def made(self) -> dict[str, Any]:
        return {"runs": {"step": np.arange(2)}}

    def measure(self) -> dict[str, dict[str, float]]:
        return {"sum": {"step": float(self.table("runs")["step"].sum())}}


def write(folder: Path, **columns: Any) -> Path:
    (folder / "toy").mkdir(exist_ok=True)
    pq.write_table(pa.table({**COLUMNS, **columns}), folder / "toy" / "runs.parquet")
    return folder


def test_a_table_is_known_by_what_it_says_not_by_its_bytes() -> None:
    table = pa.table(COLUMNS)
    assert content_digest(table) == DIGEST
    as_floats = table.set_column(1, "step", pa.array([1.0, 2.0, 3.0]))
    in_parts = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert content_digest(as_floats.select(["step", "loss", "size"])) == DIGEST
    assert content_digest(in_parts) == DIGEST
    assert content_digest(table.take([1, 0, 2])) != DIGEST
    assert content_digest(table.rename_columns(["size", "time", "loss"])) != DIGEST


def test_a_table_is_read_as_columns(tmp_path: Path) -> None:
    table = Toy(write(tmp_path)).load().extra["tables"]["runs"]
    assert table["step"].tolist() == [1, 2, 3]
    assert np.isnan(table["loss"]).tolist() == [False, True, True]
    assert table["size"].tolist() == ["a", "b", None]


def test_another_table_is_refused(tmp_path: Path) -> None:
    source = Toy(write(tmp_path, step=[1, 2, 4]))
    with refused(RunFailed, "runs.parquet", "not the 3 published"):
        source.load()
    place = source.find()
    assert place is not None
    assert [(f.check, f.result) for f in check(source, place)] == [("files", "failed")]
    assert [(f.check, f.result) for f in check(Toy(write(tmp_path)), place)] == [("content", "ok")]


def test_a_study_has_its_tables_or_makes_them_up(tmp_path: Path) -> None:
    def bench(data: Any) -> Any:
        return SimpleNamespace(dataset=data)

    source = Toy(write(tmp_path))
    data = source.load()
    found = ToyStudy(bench(data)).execute()
    assert found.metrics == {"sum": {"step": 6.0}}
    assert found.data == {"name": "toy", "digest": data.digest}
    assert ToyStudy(bench(source.synthetic(5))).execute().metrics == {"sum": {"step": 1.0}}
    with refused(BadRequest, "dataset=toy", "'fits'", "runs"):
        ToyStudy(bench(data)).table("fits")


def test_csv_files_are_gathered_into_one_table(tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text(",step,loss\n0,1,0.5\n")
    second.write_text("step,other\n2,x\n")
    to = tmp_path / "t.parquet"
    originals.gather({first: {"run": "a"}, second: {"run": "b"}}, to)
    assert pq.read_table(to).to_pylist() == [
        {"run": "a", "step": 1, "loss": 0.5, "other": None},
        {"run": "b", "step": 2, "loss": None, "other": "x"},
    ]


@pytest.mark.parametrize("name", SETS)
def test_a_published_set_says_where_each_file_is_from(name: str) -> None:
    card = ppr.build("dataset", name).card
    assert set(card.digests) == set(card.files) == set(card.rows)
    digests = [*card.digests.values(), *(o.sha256 for o in card.originals.values())]
    assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
    assert len(set(digests)) == len(digests)
    assert card.source.startswith("https://")
    assert card.licence
    assert bool(card.originals) == (card.unpack is not None)
