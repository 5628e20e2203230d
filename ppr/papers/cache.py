"""What is kept between commands because it takes seconds to work out, and when it is void.

Everything here can be deleted at any time; it costs time, never an answer.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppr
from ppr import registry
from ppr.config.places import cache_root, config_file
from ppr.errors import BadRequest
from ppr.papers.defaults import FACTS, Facts, facts
from ppr.papers.files import find_all, folders

if TYPE_CHECKING:
    from ppr.config.composed import Config


INDEX = "index"
"""The folder beside the papers of a family that holds an index of each one's cells."""


def _read(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


class Kept:
    """A JSON object in the user's cache folder, empty where it cannot be read."""

    def __init__(self, name: str) -> None:
        self._file = cache_root() / "papers" / f"{name}.json"
        self.content = _read(self._file)

    def save(self) -> None:
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            aside = self._file.with_suffix(f".{os.getpid()}")
            aside.write_text(json.dumps(self.content), encoding="utf-8")
            aside.replace(self._file)


class Variants:
    """Overrides -> (experiment, variant), composed once and kept while the files behind it last.

    Hydra takes some 0.1 s to compose a cell, and a table has dozens. What is kept names the config
    files that it followed from and a digest of their content; beside the papers lies an index of
    the cells of each (ppr/papers/index.py), so that a fresh clone need not compose them either.

    `shipped` without that index: it comes with the papers, so it is no witness for them.
    """

    def __init__(self, compose: Callable[[Sequence[str]], Config], *, shipped: bool = True) -> None:
        self._compose = compose
        self._shipped = shipped

    @cached_property
    def _kept(self) -> Kept:
        return Kept("cells")

    @cached_property
    def _facts(self) -> dict[str, Facts]:
        return {
            words: Facts(**f) for each in self._all for words, f in each.get("facts", {}).items()
        }

    @cached_property
    def _all(self) -> list[dict[str, Any]]:
        """Those that are kept or shipped and still hold."""
        where = folders() if self._shipped else []
        shipped = [file for folder in where for file in sorted(folder.rglob(f"{INDEX}/*.json"))]
        return [
            entry
            for part in [*map(entries, shipped), holding(self._kept.content)]
            for entry in part.values()
        ]

    @cached_property
    def known(self) -> dict[str, tuple[str, str]]:
        """What is kept or shipped and still holds."""
        pairs = (pair for entry in self._all for pair in entry["variants"].items())
        return {words: (experiment, variant) for words, (experiment, variant) in pairs}

    def __call__(self, overrides: Sequence[str]) -> tuple[str, str]:
        key = json.dumps(list(overrides))
        if key not in self.known:
            config = self._compose(overrides)
            self._kept.content = add_variant(self._kept.content, key, config)
            self._kept.save()
            self.known[key] = config.experiment, config.variant
        return self.known[key]

    def facts(self, overrides: Sequence[str]) -> Facts:
        """What universes need to know of the config."""
        key = json.dumps(list(overrides))
        if key not in self._facts:
            config = self._compose(overrides)
            self._facts[key] = facts(config.values)
            self._kept.content = add_facts(self._kept.content, key, config)
            self._kept.save()
        return self._facts[key]


def entries(file: Path) -> dict[str, Any]:
    """What a file keeps, as far as it still holds; nothing if it cannot be read."""
    return holding(_read(file))


def indexed(paper: Path) -> dict[tuple[str, ...], tuple[str, str]]:
    """Words -> (experiment, variant), as the index beside a paper's file would lead them."""
    parts = entries(paper.parent / INDEX / f"{paper.stem}.json").values()
    variants = [pair for entry in parts for pair in entry["variants"].items()]
    return {tuple(json.loads(words)): (e, v) for words, (e, v) in variants}


def holding(content: dict[str, Any]) -> dict[str, Any]:
    return {
        options: entry
        for options, entry in content.items()
        if _is_entry(entry) and entry["digest"] == content_digest(_options(options))
    }


def _is_entry(entry: Any) -> bool:
    """Whether it is `{"digest": …, "variants": {words: [experiment, variant]}, "facts": …}`."""
    if not isinstance(entry, dict):
        return False
    variants, known = entry.get("variants"), entry.get("facts", {})
    return (
        "digest" in entry
        and isinstance(variants, dict)
        and isinstance(known, dict)
        and all(isinstance(p, list) and len(p) == 2 for p in variants.values())
        and all(isinstance(f, dict) and f.keys() <= FACTS for f in known.values())
    )


def _options(words: str) -> list[str]:
    try:
        return [str(option) for option in json.loads(words)]
    except (ValueError, TypeError):
        return [words]  # which names no file


def add_variant(content: dict[str, Any], key: str, config: Config) -> dict[str, Any]:
    """An index with one more variant: options -> digest of their files, words -> variant."""
    return _added(content, "variants", {key: [config.experiment, config.variant]}, config)


def add_facts(content: dict[str, Any], key: str, config: Config) -> dict[str, Any]:
    """An index with what universes need to know of one more variant."""
    return _added(content, "facts", {key: facts(config.values).said()}, config)


def _added(
    content: dict[str, Any], part: str, more: dict[str, Any], config: Config
) -> dict[str, Any]:
    options = ["config" if g == "config" else f"{g}/{Path(f).stem}" for g, f in config.sources]
    now: dict[str, Any] = {"digest": content_digest(options), "variants": {}}
    entry = content.get(json.dumps(options), now)
    if entry["digest"] != now["digest"]:
        entry = now
    return content | {json.dumps(options): {**entry, part: entry.get(part, {}) | more}}


def content_digest(options: Sequence[str]) -> str:
    """Of the files behind some options, whatever folder they lie in; empty if one is not there."""
    try:
        return digest(_content(file, stamp(file)) for file in map(config_file, options))
    except (OSError, BadRequest):
        return ""


@lru_cache(maxsize=4096)
def _content(file: Path, _: str) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


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


def papers_using(experiments: Collection[str], options: Collection[str] = ()) -> list[str]:
    """The papers with a cell of one of these experiments, or, where options are given, of one.

    Told by the index of a paper's cells, which has each as it was composed; of a paper without one
    by the experiments that its cells name.
    """
    found = []
    for slug, path in find_all(folders(), {}).items():
        index = _read(path.parent / INDEX / f"{slug}.json")
        if index:
            used = {option for key in index for option in json.loads(key)}
            named = {name for part in index.values() for name, _ in part["variants"].values()}
            hit = bool(used & {*options}) if options else bool(named & {*experiments})
        else:
            hit = bool(_named(path) & {*experiments})
        if hit:
            found.append(slug)
    return found


def _named(path: Path) -> set[str]:
    """The experiments that the cells of a paper name; none of a paper that is wrong."""
    from ppr.papers.cells import cells
    from ppr.papers.files import read, reference

    try:
        tables = read(path).tables.items() if reference(path).has_tables else ()
        every = [cell.overrides for name, table in tables for cell in cells(name, table)]
    except (BadRequest, OSError, ValueError):
        return set()
    return {w.partition("=")[2] for words in every for w in words if w.startswith("experiment=")}
