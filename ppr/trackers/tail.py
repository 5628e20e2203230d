"""Follows the metrics.jsonl of a run that may be under way, be killed, and be cut back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppr.results.files import parse_json


@dataclass(frozen=True)
class Mark:
    """How far a log has been read: so many bytes, with their SHA-256."""

    offset: int = 0
    sha256: str = hashlib.sha256().hexdigest()


class Rewritten(Exception):
    """What was read before is no longer what is written."""


class Tail:
    """Each record of a growing log once.

    A run that resumes cuts its log back to a checkpoint and writes the same lines again: while it
    is at that there is nothing new. Where they are not the same (another machine, other code),
    what was read before `mark` is void.
    """

    def __init__(self, path: Path, mark: Mark) -> None:
        self.path = path
        self._before = mark
        self._trusted = False
        self._offset = 0
        self._hash = hashlib.sha256()

    @property
    def mark(self) -> Mark:
        """How far it has been read, the time before included."""
        own = Mark(self._offset, self._hash.hexdigest())
        return max(own, self._before, key=lambda mark: mark.offset)

    def read(self, *, recheck: bool = False) -> list[dict[str, Any]]:
        """The records since the last call, less a torn last line; the first call gives them all.

        Raises:
            Rewritten: what was read, in this life or before `mark`, is not there any more.
        """
        try:
            with open(self.path, "rb") as file:
                mark = self.mark
                if file.seek(0, 2) < mark.offset:
                    self._trusted = False
                    return []
                if recheck or not self._trusted:
                    file.seek(0)
                    if hashlib.sha256(file.read(mark.offset)).hexdigest() != mark.sha256:
                        raise Rewritten
                    self._trusted = True
                file.seek(self._offset)
                whole, newline, _torn = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._hash.update(whole + newline)
        self._offset += len(whole + newline)
        return [parse_json(line, str(self.path)) for line in whole.splitlines()]
