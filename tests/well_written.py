"""What the file of every paper keeps, those that ship and the skeleton of a new one."""

from __future__ import annotations

import re
from pathlib import Path

from ppr.papers.files import read, reference

ELLIPTIC = {"and", "or", "nor", "so", "it", "its", "they", "their", "these", "there"}


def assert_whole(path: Path) -> None:
    """It says what it must, and its head can be read alone."""
    paper, head = read(path), reference(path)
    assert (paper.slug, paper.title, paper.year, paper.family) == (
        head.slug,
        head.title,
        head.year,
        head.family,
    )
    assert head.has_tables == bool(paper.tables)
    assert paper.method
    assert paper.claims_in_words
    assert paper.claims or not paper.tables
    assert paper.about or not paper.tables
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert re.fullmatch(r"[a-z0-9_]+", path.stem)


def assert_claims_stand_alone(path: Path) -> None:
    """A claim's sentence is a heading of the site: it leans on no sentence before it, and no two
    of a paper are the same."""
    said = [claim.says for claim in read(path).claims.values()]
    assert not [text for text in said if text.split()[0] in ELLIPTIC]
    assert not [text for text in said if len(text.split()) < 4]
    assert len(set(said)) == len(said)
