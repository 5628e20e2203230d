"""Files that are either whole or not there, and the log that can be cut back to a checkpoint.

A result is written aside, synced and renamed, so that a reader never sees half of one, whether the
writer was killed, the disk was full or the machine lost power.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ppr.errors import RunFailed

T = TypeVar("T")
_ASIDE = re.compile(r"\..+\.[0-9a-f]{8}")


@contextmanager
def _one_line(path: Path, doing: str) -> Iterator[None]:
    """Turn the operating system's error into one line that names the file and the reason."""
    try:
        yield
    except OSError as error:
        raise RunFailed(f"{path}: cannot {doing}: {error.strerror or error}") from error


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Replace `path` by `content`, all of it or nothing.

    Raises:
        RunFailed: the disk is full or the place not writable; nothing half-written is left.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    # Hidden, so that a copy left by a killed process is never taken for a result: see `asides`.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with _one_line(path, "write"):
        try:
            with open(aside, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:  # an interrupt too must leave nothing behind
            with suppress(OSError):
                aside.unlink()
            raise
        _sync_folder(path.parent)


def asides(folder: Path) -> list[Path]:
    """What `write_atomic` has begun in a folder: of a killed process, where none writes there."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if _ASIDE.fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def clear_asides(folder: Path) -> None:
    """Remove what killed processes have left of their writing; for who alone may write there."""
    for path in asides(folder):
        with suppress(OSError):
            path.unlink()


def _sync_folder(folder: Path) -> None:
    """A rename lasts through a power cut only once its folder is on disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically.

    Raises:
        RunFailed: as `write_atomic`; or a number in it is NaN or infinite, which JSON has no word
            for and no average should meet. The message names its place.
    """
    for where, number in _numbers(value):
        if not math.isfinite(number):
            raise RunFailed(f"{path}: {where} is {number}, not a finite number")
    write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def _numbers(value: Any, where: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield where or "the value", value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{where}/{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{where}[{index}]")


def read_json(path: str | Path) -> Any:
    """The content of a JSON file.

    Raises:
        RunFailed: it cannot be read or is not JSON.
    """
    path = Path(path)
    with _one_line(path, "read"):
        data = path.read_bytes()
    return parse_json(data, str(path))


def read_object(path: str | Path) -> dict[str, Any]:
    """The content of a file that holds a JSON object.

    Raises:
        RunFailed: it cannot be read, is not JSON or not an object.
    """
    return check_object(read_json(path), str(path))


def check_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RunFailed(f"{where}: not a JSON object")
    return value


def check_as(value: Any, kind: type[T], where: str) -> T:
    """What was read from JSON as the dataclass that it is a record of.

    Raises:
        RunFailed: a key is missing or not known, or a value is of another type.
    """
    from pydantic import ValidationError  # most readers of a tree need none of it

    content = check_object(value, where)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in names:
            raise RunFailed(f"{where}: {key!r} is not known here; another version of ppr wrote it")
    try:
        checked: T = _adapter(kind).validate_python(content)  # type: ignore[arg-type]
        return checked
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise RunFailed(f"{where}: {at}: {first['msg']}") from None


@lru_cache(maxsize=32)
def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def parse_json(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RunFailed(f"{where}: not JSON: {error}") from None


class MetricsLog:
    """A file of JSON objects, one a line, that only grows, except when a run is resumed.

    Lines are buffered: nothing reaches the disk in the hot loop until the buffer fills. A torn last
    line, left by a killed process, is cut off when the log is opened.

        log = MetricsLog(path)
        log.write({"step": 1, "train/loss": 3.2})
        checkpoint["log"] = log.offset       # on disk up to here
        ...
        log.truncate(checkpoint["log"])      # on resume: forget what came after the checkpoint
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with _one_line(self.path, "open"):
            self._file = open(self.path, "ab")  # noqa: SIM115  closed by close()
            self._written = hashlib.sha256()
            if self.path.is_file():
                content = self.path.read_bytes()
                whole = content.rfind(b"\n") + 1
                self._file.truncate(whole)
                self._file.seek(whole)
                self._written.update(content[:whole])

    def write(self, record: Mapping[str, Any]) -> None:
        """Add one line. A number that is not finite is written as null: JSON has no NaN."""
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in record.items()
        }
        line = json.dumps(finite, allow_nan=False).encode() + b"\n"
        with _one_line(self.path, "write"):
            self._file.write(line)
        self._written.update(line)

    def flush(self) -> None:
        """Hand what is buffered to the operating system, for readers of a run under way."""
        with _one_line(self.path, "write"):
            self._file.flush()

    @property
    def offset(self) -> int:
        """Bytes written so far, put on disk first: a checkpoint must not point past the end."""
        with _one_line(self.path, "write"):
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()

    @property
    def digest(self) -> str:
        """The SHA-256 of all that was written so far, whatever has become of it on disk."""
        return self._written.hexdigest()

    def truncate(self, offset: int) -> None:
        """Cut the log back to a checkpoint's `offset`.

        Raises:
            RunFailed: the log is shorter than that, so lines that the checkpoint counts are lost.
        """
        size = self.offset
        if offset > size:
            raise RunFailed(f"{self.path}: {size} bytes, but the checkpoint was made at {offset}")
        with _one_line(self.path, "truncate"):
            self._file.truncate(offset)
            self._file.seek(offset)
            kept = self.path.read_bytes() if self.path.is_file() else b""
        self._written = hashlib.sha256(kept)

    def close(self) -> None:
        with _one_line(self.path, "write"):
            self._file.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """The records of a `MetricsLog`; a torn last line, of a run under way or killed, is left out.

    Raises:
        RunFailed: the file cannot be read, or a line before the last is damaged.
    """
    path = Path(path)
    with _one_line(path, "read"):
        *lines, _torn = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}: line {number}"
        records.append(check_object(parse_json(line, where), where))
    return records
