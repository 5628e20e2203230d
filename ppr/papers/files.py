"""The papers' files, `configs/paper/<slug>.yaml`: found by slug, read safely, no key twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ppr.config.places import config_folders
from ppr.errors import BadRequest, choices

if TYPE_CHECKING:
    from ppr.papers.schema import Paper

# libyaml's parser, where PyYAML was built with it, is ten times as fast.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REFERENCE = re.compile(r"^(title|year|family|kind|size)\s*:", re.MULTILINE)


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    """YAML lets a later key win silently: a second table of the same name would hide the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise BadRequest(f"line {line}: {key.value!r} stands there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
    lambda loader, node: loader.construct_mapping(node, deep=True),
)


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


def find_all(where: Sequence[Path]) -> dict[str, Path]:
    """Slug -> file, of every paper.

    Raises:
        BadRequest: two files of one slug, whatever their case, or a file that is no `.yaml`.
    """
    found: dict[str, Path] = {}
    for folder in where:
        for path in sorted(folder.rglob("*.y*ml")):
            slug = path.stem
            if path.suffix != ".yaml" or slug != slug.lower():
                raise BadRequest(f"{path}: a paper's file is named <slug>.yaml, in lower case")
            other = found.setdefault(slug, path)
            if other != path:
                raise BadRequest(f"paper {slug!r} is there twice: {other} and {path}")
    return dict(sorted(found.items()))


def load(slug: str, where: Sequence[Path]) -> Paper:
    """One paper, checked.

    Raises:
        BadRequest: no such paper, or its file is wrong; one line that says where.
    """
    known = find_all(where)
    if slug not in known:
        raise BadRequest(f"unknown paper {slug!r}: {choices(slug, known)}")
    return read(known[slug])


def read(path: Path) -> Paper:
    """One paper's file, checked, its claims too."""
    # Listing 300 papers must not wait for pydantic.
    from ppr.papers.claims import check_claims
    from ppr.papers.schema import parse

    paper = parse(_document(path, path.read_text(encoding="utf-8")), path.stem, str(path))
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
    text = path.read_text(encoding="utf-8")
    head = _document(path, _head(text), _SafeLoader)
    missing = [key for key in ("title", "year", "family") if key not in head]
    if missing:
        raise BadRequest(f"{path}: {missing[0]}: missing among the first keys of the file")
    tables = re.search(r"^tables\s*:", text, re.MULTILINE) is not None
    return Reference(path.stem, head["title"], head["year"], head["family"], tables, path)


def _head(text: str) -> str:
    """The lines before the first key that is no part of the reference."""
    for match in re.finditer(r"^\w+\s*:", text, re.MULTILINE):
        if not _REFERENCE.match(text, match.start()):
            return text[: match.start()]
    return text


def _document(path: Path, text: str, loader: Any = _Loader) -> dict[str, Any]:
    try:
        found = yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise BadRequest(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except BadRequest as error:
        raise BadRequest(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise BadRequest(f"{path}: must be a mapping of keys, starting with title, year and family")
    return found
