"""The papers' files, `configs/paper/<slug>.yaml`: found by slug, read safely, no key twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.config.places import config_folders
from ppr.config.yaml_files import parse_yaml, read_yaml
from ppr.errors import BadRequest, choices

if TYPE_CHECKING:
    from ppr.papers.schema import Paper

_KINDS = {str: "text", int: "a whole number"}
_REFERENCE = re.compile(rb"^(?:\xef\xbb\xbf)?(title|year|family|kind|size)\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Reference:
    """What the list of papers shows of one whose file need not be read to its end."""

    slug: str
    title: str
    year: int
    family: str
    has_tables: bool
    path: Path


def folders() -> list[Path]:
    """The folders of papers."""
    return [folder / "paper" for folder in config_folders()]


def find_all(where: Sequence[Path], wrong: dict[Path, str] | None = None) -> dict[str, Path]:
    """Slug -> file, of every paper; what cannot be one is noted in `wrong`, with the reason.

    Raises:
        BadRequest: without `wrong`: two files of one slug, or a file that is no `<slug>.yaml`.
    """
    found: dict[str, Path] = {}
    faults: dict[Path, str] = {}
    for folder in where:
        for path in sorted(folder.rglob("*.y*ml")):
            slug = path.stem
            if path.suffix != ".yaml" or slug != slug.lower():
                faults[path] = f"{path}: a paper's file is named <slug>.yaml, in lower case"
            elif found.setdefault(slug, path) != path:
                faults[path] = f"paper {slug!r} is there twice: {found[slug]} and {path}"
    for fault in faults.values() if wrong is None else ():
        raise BadRequest(fault)
    (wrong if wrong is not None else {}).update(faults)
    return dict(sorted(found.items()))


def find(slug: str, where: Sequence[Path]) -> Path:
    """The file of one paper, whatever is wrong with others.

    Raises:
        BadRequest: no such paper, or more than one.
    """
    wrong: dict[Path, str] = {}
    known = find_all(where, wrong)
    for path, fault in wrong.items():
        if path.stem == slug:
            raise BadRequest(fault)
    if slug not in known:
        raise BadRequest(f"unknown paper {slug!r}: {choices(slug, known)}")
    return known[slug]


def load(slug: str, where: Sequence[Path]) -> Paper:
    """One paper, checked.

    Raises:
        BadRequest: no such paper, or its file is wrong; one line that says where.
    """
    return read(find(slug, where))


def read(path: Path) -> Paper:
    """One paper's file, checked, its claims too."""
    # Listing 300 papers must not wait for pydantic.
    from ppr.papers.plans import check_claims
    from ppr.papers.schema import parse

    paper = parse(read_yaml(path, written=True), path.stem, str(path))
    try:
        check_claims(paper)
    except BadRequest as error:
        raise BadRequest(f"{path}: {error}") from None
    return paper


def reference(path: Path) -> Reference:
    """A paper's reference, from the lines at the top of its file: 300 files in a blink.

    Raises:
        BadRequest: a title, year or family is missing, or not where it can be found.
    """
    text = path.read_bytes()
    head = parse_yaml(_head(text), path)
    for key, kind in (("title", str), ("year", int), ("family", str)):
        if key not in head:
            raise BadRequest(f"{path}: {key}: missing among the first keys of the file")
        if not isinstance(head[key], kind):
            raise BadRequest(f"{path}: {key}={head[key]!r}: must be {_KINDS[kind]}")
    tables = re.search(rb"^tables\s*:", text, re.MULTILINE) is not None
    return Reference(path.stem, head["title"], head["year"], head["family"], tables, path)


def references(where: Sequence[Path]) -> tuple[list[Reference], dict[Path, str]]:
    """Every paper's reference, and the files that have none, each with what is wrong with it."""
    wrong: dict[Path, str] = {}
    found = []
    for path in find_all(where, wrong).values():
        try:
            found.append(reference(path))
        except BadRequest as error:
            wrong[path] = str(error)
        except OSError as error:
            wrong[path] = f"{path}: {error.strerror or error}"
    return found, wrong


def _head(text: bytes) -> bytes:
    """The lines before the first key that is no part of the reference."""
    for match in re.finditer(rb"^\w+\s*:", text, re.MULTILINE):
        if not _REFERENCE.match(text, match.start()):
            return text[: match.start()]
    return text
