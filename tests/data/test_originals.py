"""Data sets that are not on the hub: fetched from where they are published, pinned, unpacked."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq
import pytest
from data_toy import refused

from ppr.data import hub, originals
from ppr.data.card import Card, Original
from ppr.data.graph import _planetoid_files
from ppr.data.recommendation import ir_benchmark
from ppr.data.sources import sources
from ppr.data.tabular import adult, compas, german_credit
from ppr.errors import BadRequest, RunFailed

CONTENT = b"one line\n"
SHA = hashlib.sha256(CONTENT).hexdigest()
NAMES = (
    "adult", "compas", "cora_words", "german_credit", "omniglot_small", "planetoid", "citeseer",
    "gowalla", "amazon_electronic",
)  # fmt: skip


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server of one file on this machine."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a.txt").write_bytes(CONTENT)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www"))
    ) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PPR_DATA", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def card(url: str, sha: str = SHA) -> Card:
    return Card(
        name="toy",
        shape=(),
        classes=(),
        rows={},
        source="a page",
        licence="none",
        files={"train": "a.txt"},
        originals={"a.txt": Original(url, sha)},
        unpack=originals.keep,
    )


def test_an_original_is_fetched_once_verified_and_noted(address: str, tmp_path: Path) -> None:
    mine = card(f"{address}/a.txt")
    assert hub.find(mine, None) is None
    place = hub.locate(mine, None)
    assert place.files["train"][0].read_bytes() == CONTENT
    assert (place.folder / hub.MANIFEST).read_text().split() == [SHA, "a.txt"]
    assert sorted(file.name for file in place.folder.iterdir()) == sorted(["a.txt", hub.MANIFEST])
    (tmp_path / "www" / "a.txt").unlink()
    assert hub.locate(mine, None) == place


def test_another_file_and_no_file_are_told_in_one_line(address: str, tmp_path: Path) -> None:
    with refused(RunFailed, "toy", f"{address}/a.txt", "0" * 64):
        hub.fetch(card(f"{address}/a.txt", "0" * 64), None)
    with refused(BadRequest, f"{address}/b.txt", "404", "ppr data fetch toy", "PPR_DATA"):
        hub.fetch(card(f"{address}/b.txt"), tmp_path / "data" / "toy")
    assert not [file for file in tmp_path.rglob("a.txt") if "www" not in file.parts]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_on_the_hub_can_be_had(name: str) -> None:
    published = sources([name], None)[name].published
    assert published.originals
    assert published.unpack
    for original in published.originals.values():
        assert original.url.startswith("https://")
        assert len(bytes.fromhex(original.sha256)) == 32


ELSEWHERE = {"mteb_scores"}
"""Flattened from hundreds of files of one repository, which is named; had from a PPR_DATA alone."""


def test_every_listed_data_set_can_be_had() -> None:
    for name, source in sources((), None).items():
        published = source.published
        had = published.hub or published.originals or source.find()
        assert bool(had) == (name not in ELSEWHERE), name


ADULT = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male,"
    " 2174, 0, 40, United-States, <=50K"
)


def test_tables_of_text_are_unpacked(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("adult.data", "adult.test", "german.data")}
    files["adult.data"].write_text(f"{ADULT}\n\n")
    files["adult.test"].write_text(f"|1x3 Cross validator\n{ADULT}.\n{ADULT}.\n")
    adult.unpack(tmp_path, files)
    train, test = (pq.read_table(tmp_path / f"{part}.parquet") for part in ("train", "test"))
    assert (train.num_rows, test.num_rows) == (1, 2)
    row = train.to_pylist()[0]
    assert (row["age"], row["workclass"], row["hours.per.week"]) == (39, "State-gov", 40)
    assert row["income"] == test.to_pylist()[1]["income"] == "<=50K"
    files["german.data"].write_text(
        "A11 6 A34 A43 1169 A65 A75 4 A93 A101 4 A121 67 A143 A152 2 A173 1 A192 A201 1\n"
    )
    german_credit.unpack(tmp_path, files)
    row = pq.read_table(tmp_path / "train.parquet").to_pylist()[0]
    assert (row["status"], row["age"], row["credit"]) == ("A11", 67, 1)


def test_a_table_leaves_names_out_and_keeps_dates_as_text(tmp_path: Path) -> None:
    files = {compas.FILE: tmp_path / compas.FILE}
    files[compas.FILE].write_text(
        f"id,{','.join(compas.PERSONAL)},c_jail_in,priors_count,score,priors_count\n"
        f"1,{','.join('x' for _ in compas.PERSONAL)},2013-08-13 06:03:42,0,,7\n"
    )
    compas.unpack(tmp_path, files)
    assert pq.read_table(tmp_path / "train.parquet").to_pylist() == [
        {"id": 1, "c_jail_in": "2013-08-13 06:03:42", "priors_count": 0, "score": None,
         "priors_count.1": 7}
    ]  # fmt: skip


def test_an_archives_parts_are_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "gowalla.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("proc/train.tsv", "user_procid\titem_procid\n0\t1\n2\t0\n")
        archive.writestr("proc/test.tsv", "user_procid\titem_procid\n1\t1\n")
        archive.writestr("../evil.tsv", "")
    ir_benchmark.unpack("gowalla", tmp_path / "made", {"gowalla.zip": file})
    made = [str(f.relative_to(tmp_path / "made")) for f in (tmp_path / "made").rglob("*.*")]
    assert sorted(made) == ["gowalla/test.parquet", "gowalla/train.parquet"]
    found = pq.read_table(tmp_path / "made" / "gowalla" / "train.parquet")
    assert found.to_pydict() == {"user": [0, 2], "item": [1, 0]}


def test_pickles_make_arrays_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "ind.cora.x"
    file.write_bytes(pickle.dumps(Path("/"), protocol=2))
    with refused(RunFailed, file, "neither an array nor a dictionary"):
        _planetoid_files._load(file)
    file.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with refused(RunFailed, "os.system"):
        _planetoid_files._load(file)
