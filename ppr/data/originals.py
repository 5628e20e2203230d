"""Files that are not on the Hugging Face hub, from where their publishers have them.

Each is pinned by its SHA-256 and fetched by pooch; the data set's card then unpacks them into the
files that it reads.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import constants

from ppr.commands import command_line
from ppr.config.places import cache_root
from ppr.data.card import Card
from ppr.errors import BadRequest, RunFailed

TIMEOUT = 20
"""Seconds: a compute node without internet must say so soon."""


def own_folder(card: Card) -> Path:
    """Where such a data set is put where no folder of data sets is named."""
    return cache_root() / "data" / card.name


def fetch(card: Card, folder: Path) -> None:
    """Fetch a card's originals and unpack them into `folder`, all of them or none.

    Raises:
        BadRequest: an address cannot be reached, or HF_HUB_OFFLINE is set.
        RunFailed: what came is not the file that the card knows.
    """
    assert card.unpack is not None
    if constants.HF_HUB_OFFLINE:
        raise BadRequest(
            f"{card.name}: not here, and HF_HUB_OFFLINE says to stay offline; run `ppr data fetch "
            f"{card.name}` without it, or set PPR_DATA to a folder that has it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as aside:
        there, made = Path(aside) / "originals", Path(aside) / "made"
        made.mkdir()
        card.unpack(made, {name: _one(card, name, there) for name in card.originals})
        for file in [path for path in made.rglob("*") if path.is_file()]:
            target = folder / file.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)


def _one(card: Card, name: str, folder: Path) -> Path:
    import pooch

    original = card.originals[name]
    pooch.get_logger().setLevel("WARNING")
    getter = pooch.HTTPDownloader(timeout=TIMEOUT)
    try:
        got = pooch.retrieve(
            original.url, f"sha256:{original.sha256}", name, folder, downloader=getter
        )
    except ValueError as error:  # pooch's word for another hash
        what = f"{original.url} is not the file known by SHA-256 {original.sha256}"
        raise RunFailed(f"{card.name}: {what}") from error
    except OSError as error:  # what requests raises
        cause = getattr(error.args[0] if error.args else None, "reason", error)  # urllib3's
        reason = str(cause).strip().split("\n", 1)[0]
        fetch = command_line("data", "fetch", card.name)
        raise BadRequest(
            f"{card.name}: {original.url} could not be had ({reason}); run `{fetch}` where there "
            "is internet, or set PPR_DATA to a folder that has it"
        ) from None
    return Path(got)


# What cards unpack with


def keep(folder: Path, originals: Mapping[str, Path]) -> None:
    """The originals are the files themselves."""
    for name, path in originals.items():
        shutil.copyfile(path, folder / name)


def unzip(archive: Path, names: Sequence[str], folder: Path) -> None:
    """Some files of a zip archive, by their base names."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as opened:
        for member in opened.namelist():
            name = member.rsplit("/", 1)[-1]
            if name in names:
                (folder / name).write_bytes(opened.read(member))


def gather(files: Mapping[Path, Mapping[str, str]], to: Path) -> None:
    """CSV files with a head as one Parquet table, each with columns that hold one value all over.

    Columns that some of the files lack are null there; a first column without a name, which is how
    pandas writes row numbers, is left out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    parts = []
    for file, values in files.items():
        part = csv.read_csv(file)
        part = part.drop_columns([""]) if "" in part.column_names else part
        for at, (name, value) in enumerate(values.items()):
            part = part.add_column(at, name, pa.array([value] * len(part), pa.string()))
        parts.append(part)
    pq.write_table(pa.concat_tables(parts, promote_options="permissive"), to)


def table(
    text: bytes,
    to: Path,
    names: Sequence[str],
    *,
    delimiter: str = ",",
    drop: Sequence[str] = (),
) -> None:
    """A table of text without a head, as Parquet; nothing between two delimiters is null.

    `names` are its columns', `drop` those that are left out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import csv

    def read(as_text: Sequence[str]) -> pa.Table:
        return csv.read_csv(
            io.BytesIO(text),
            csv.ReadOptions(column_names=list(names)),
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            csv.ConvertOptions(
                null_values=[""],
                strings_can_be_null=True,
                column_types=dict.fromkeys(as_text, pa.string()),
            ),
        )

    kinds = read(()).schema
    # Dates and times stay as they are written.
    times = [
        f.name for f in kinds if not (pa.types.is_integer(f.type) or pa.types.is_string(f.type))
    ]
    pq.write_table(read(times).drop_columns(list(drop)), to)
