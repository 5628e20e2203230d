"""Decoded arrays on disk, so that images are decoded once and then memory-mapped.

One folder an entry: a .npy file for each array and `entry.json` with their CRC-32. The folder's
name has a hash of what the arrays were made from, so a changed source never meets an old entry.
It is written aside and renamed; one that is torn or altered is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from ppr.config.places import cache_root

Arrays = Mapping[str, np.ndarray]

FORMAT = 1
"""Raised when the same source files would be decoded to other arrays than before."""


def fingerprint(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Path, size and time of change of each file: a new one means new content, at no cost."""
    stats = [(str(file.resolve()), file.stat()) for file in files]
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]


def cached(name: str, made_from: object, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of `make()`, from the cache if it has those made from the same."""
    key = hashlib.sha256(json.dumps([FORMAT, made_from]).encode()).hexdigest()[:16]
    entry = cache_root() / f"{name}-{key}"
    try:
        return _read(entry)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, KeyError) as error:
        warnings.warn(f"{entry}: {error}; decoding again", stacklevel=2)
    arrays = make()
    try:
        _write(entry, arrays)
    except OSError as error:
        warnings.warn(f"{entry}: {error}; decoded again at the next start", stacklevel=2)
    return arrays


def _read(entry: Path) -> Arrays:
    sums = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
    if not isinstance(sums, dict) or not sums:
        raise ValueError("entry.json names no arrays")
    # copy-on-write: processes share the pages, and torch gets an array that it may write to
    arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="c") for name in sums}
    for name, array in arrays.items():
        if zlib.crc32(array.data) != sums[name]:
            raise ValueError(f"{name}.npy was altered")
    return arrays


def _write(entry: Path, arrays: Arrays) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    try:
        for name, array in arrays.items():
            with (aside / f"{name}.npy").open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
        sums = {name: zlib.crc32(array.data) for name, array in arrays.items()}
        (aside / "entry.json").write_text(json.dumps(sums), encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)
        if not entry.exists():  # else another process was first, with the same arrays
            aside.rename(entry)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
