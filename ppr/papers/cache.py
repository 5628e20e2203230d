"""What is kept between commands because it takes seconds to work out, and when it is void.

Everything here can be deleted at any time; it costs time, never an answer.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import ppr
from ppr import registry
from ppr.config.places import cache_root
from ppr.papers.files import folders


class Kept:
    """A JSON object in the user's cache folder, empty where it cannot be read."""

    def __init__(self, name: str) -> None:
        self._file = cache_root() / "papers" / f"{name}.json"
        self.content: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            self.content = json.loads(self._file.read_text(encoding="utf-8"))

    def save(self) -> None:
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            aside = self._file.with_suffix(f".{os.getpid()}")
            aside.write_text(json.dumps(self.content), encoding="utf-8")
            aside.replace(self._file)


class Variants:
    """Overrides -> (experiment, variant), composed once and kept until a source or config changes.

    Hydra takes some 0.2 s to compose one cell, and a table has a dozen.
    """

    def __init__(self, resolve: Callable[[Sequence[str]], tuple[str, str]]) -> None:
        self._resolve = resolve

    @cached_property
    def _kept(self) -> Kept:
        kept, stamp = Kept("variants"), code_stamp(folder.parent for folder in folders())
        if kept.content.get("stamp") != stamp:
            kept.content = {"stamp": stamp, "variants": {}}
        return kept

    def __call__(self, overrides: Sequence[str]) -> tuple[str, str]:
        known, key = self._kept.content["variants"], json.dumps(list(overrides))
        if key not in known:
            known[key] = self._resolve(overrides)
            self._kept.save()
        experiment, variant = known[key]
        return experiment, variant


def code_stamp(configs: Iterable[Path]) -> str:
    """Changes with every config and source file that a cell's variant or a verdict follows from."""
    roots = [*configs, Path(ppr.__file__).parent, *registry.plugin_roots()]
    return digest(_stamps(roots, (".yaml", ".py")))


def _stamps(roots: Iterable[Path], endings: tuple[str, ...]) -> Iterator[str]:
    for root in roots:
        if root.is_dir():
            for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
                if entry.is_dir():
                    yield from _stamps([Path(entry.path)], endings)
                elif entry.name.endswith(endings):
                    yield stamp(entry)


def stamp(file: Path | os.DirEntry[str]) -> str:
    found = file.stat()
    return f"{os.fspath(file)}:{found.st_mtime_ns}:{found.st_size}"


def digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
