"""Find a data set's files: in a local mirror, in a cache, on the hub or at their publishers'.

A mirror is a folder with the hub's own layout: `<root>/cifar10/plain_text/train-*.parquet` or
`<root>/uoft-cs/cifar10/plain_text/train-*.parquet`. Files from the hub are only ever data: Parquet
files, of the names that the card lists.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ppr.commands import command_line
from ppr.config.places import data_root
from ppr.data.card import Card
from ppr.data.originals import fetch as fetch_originals
from ppr.data.originals import own_folder
from ppr.errors import BadRequest, RunFailed
from ppr.results.files import write_atomic

MANIFEST = "SHA256SUMS"
TIMEOUT = 5
"""Seconds until the hub is out of reach: a compute node without internet must say so soon."""

_SHARD = re.compile(r"-\d+-of-(\d+)")


@dataclass(frozen=True)
class Place:
    """A folder that holds a data set: a local `mirror`, or the Hugging Face `cache`."""

    kind: str
    folder: Path
    files: Mapping[str, list[Path]]

    def __str__(self) -> str:
        return f"{self.kind} {self.folder}"


def mirror(root: Path | None) -> Path | None:
    """The folder of local data sets: `root` (data.root), else the environment's PPR_DATA.

    Raises:
        BadRequest: it is not a folder, or cannot be read.
    """
    folder = data_root(None if root is None else str(root))
    if folder is None:
        return None
    _readable(folder, "data.root (PPR_DATA)")
    if not folder.is_dir():
        raise BadRequest(f"data.root={folder} (PPR_DATA): no such folder")
    return folder


def find(card: Card, root: Path | None) -> Place | None:
    """Where the data set is on this machine, without asking the network; None if nowhere.

    Raises:
        BadRequest: a folder cannot be read, or lacks some of the data set's files.
    """
    top = mirror(root)
    if top is not None:
        for folder in dict.fromkeys((top / card.name, top / (card.hub or card.name))):
            if files := _files(card, folder):
                return Place("mirror", folder, files)
    if card.originals and (files := _files(card, own_folder(card))):
        return Place("cache", own_folder(card), files)
    snapshot = _snapshot(card)
    if snapshot is not None and (files := _files(card, snapshot)):
        return Place("cache", snapshot, files)
    return None


def locate(card: Card, root: Path | None) -> Place:
    """Where the data set is; fetched from the hub if it is not on this machine.

    Raises:
        BadRequest: it is neither here nor to be had, and how to get it.
    """
    return find(card, root) or fetch(card, None, root)


def fetch(card: Card, folder: Path | None, root: Path | None = None) -> Place:
    """Download a data set's files to `folder`, or else to a cache, the hub's where it is there.

    Their hashes are noted in SHA256SUMS.

    Raises:
        BadRequest: the hub cannot be reached, or has no such files.
        RunFailed: what came is not what an earlier fetch noted in SHA256SUMS.
    """
    if card.originals:
        folder = folder or own_folder(card)
        fetch_originals(card, folder)
        return _fetched("cache" if folder == own_folder(card) else "mirror", card, folder)
    if card.hub is None:
        raise BadRequest(f"{card.name}: not on the hub; {_looked(card, root)}; from {card.source}")
    from huggingface_hub import snapshot_download

    try:
        got = snapshot_download(
            card.hub,
            repo_type="dataset",
            allow_patterns=list(card.files.values()),
            local_dir=folder,
            etag_timeout=TIMEOUT,
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n", 1)[0].removeprefix("Got: ")
        raise BadRequest(
            f"{card.name}: {_looked(card, root)}; {card.hub} could not be had from the hub "
            f"({reason}); run `{command_line('data', 'fetch', card.name)}` where there is "
            f"internet, or set PPR_DATA to a folder that has it"
        ) from None
    return _fetched("cache" if folder is None else "mirror", card, Path(got))


def _fetched(kind: str, card: Card, folder: Path) -> Place:
    """What has come to a folder, with its hashes noted, or held against those of an earlier day."""
    files = _files(card, folder)
    if files is None:
        where = card.hub or card.source
        raise BadRequest(f"{card.name}: {where} has no {', '.join(card.files.values())}")
    place = Place(kind, folder, files)
    if not note(place):
        verify(place)
    return place


def note(place: Place) -> bool:
    """Write SHA256SUMS beside the data (the format of sha256sum); False if it is there already."""
    manifest = place.folder / MANIFEST
    if manifest.exists():
        return False
    lines = [f"{sha256(file)}  {file.relative_to(place.folder)}\n" for file in _all(place)]
    write_atomic(manifest, "".join(lines))
    return True


def verify(place: Place) -> int:
    """Compare the files with SHA256SUMS; returns how many agree, 0 without a manifest.

    Raises:
        RunFailed: the first file that differs or is not listed; or the manifest cannot be read.
    """
    manifest = place.folder / MANIFEST
    if not manifest.exists():
        return 0
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailed(f"{manifest}: cannot read: {error}") from None
    rows = (line.split(maxsplit=1) for line in lines)
    sums = {row[1].strip().lstrip("*").removeprefix("./"): row[0] for row in rows if len(row) > 1}
    files = _all(place)
    for file in files:
        listed = sums.get(str(file.relative_to(place.folder)))
        if listed is None:
            raise RunFailed(f"{file}: not listed in {manifest}")
        if sha256(file) != listed.lower():
            raise RunFailed(f"{file}: not the file whose SHA-256 is in {manifest}")
    return len(files)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _all(place: Place) -> list[Path]:
    return [file for files in place.files.values() for file in files]


def _files(card: Card, folder: Path) -> dict[str, list[Path]] | None:
    """Every split's files in `folder`; None if it has none at all."""
    _readable(folder, card.name)
    found = {split: sorted(folder.glob(glob)) for split, glob in card.files.items()}
    if not any(found.values()):
        return None
    for split, files in found.items():
        shards = _SHARD.search(files[0].name) if files else None
        if not files or (shards and len(files) != int(shards[1])):
            wanted = f"{len(files)} of {int(shards[1])} files" if shards else "no file"
            raise BadRequest(
                f"{card.name}: {wanted} of split {split}: {folder / card.files[split]}"
            )
    return found


def _readable(folder: Path, name: str) -> None:
    try:
        listed = not folder.is_dir() or os.access(folder, os.R_OK | os.X_OK)
    except PermissionError:
        listed = False
    if not listed:
        raise BadRequest(f"{name}: cannot read {folder}: permission denied")


def _snapshot(card: Card) -> Path | None:
    """The data set's newest snapshot in the Hugging Face cache (layout: huggingface_hub's guide
    "Understand caching"), read as plain files because importing the client takes longer."""
    from huggingface_hub import constants

    if card.hub is None:
        return None
    repo = Path(constants.HF_HUB_CACHE) / f"datasets--{card.hub.replace('/', '--')}"
    try:
        commit = (repo / "refs" / "main").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return repo / "snapshots" / commit


def _looked(card: Card, root: Path | None) -> str:
    from huggingface_hub import constants

    top = mirror(root)
    example = next(iter(card.files.values()), "")
    where = f"not in {top} ({card.name}/{example})" if top else "PPR_DATA is not set"
    return f"{where}, not in the Hugging Face cache ({constants.HF_HUB_CACHE})"
