"""The index of a paper's cells, `index/<slug>.json` beside it: words -> experiment and variant.

It spares a fresh clone from composing every cell of every paper. An entry whose config files have
changed since is passed over, so an old index costs time, never an answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppr.config.compose import compose
from ppr.papers import cache
from ppr.papers.cells import cells
from ppr.papers.files import read
from ppr.results.files import write_atomic


def write_index(paper: Path) -> None:
    """Write the index of the paper in a file; what the old one knows and still holds is kept."""
    file = paper.parent / cache.INDEX / f"{paper.stem}.json"
    old = {
        words: (options, entry)
        for options, entry in cache.entries(file).items()
        for words in entry["variants"]
    }
    index: dict[str, Any] = {}
    for name, table in read(paper).tables.items():
        for cell in cells(name, table):
            words = json.dumps(list(cell.overrides))
            if words in old:
                options, entry = old[words]
                new = index.setdefault(options, {"digest": entry["digest"], "variants": {}})
                new["variants"][words] = entry["variants"][words]
            else:
                index = cache.add_variant(index, words, compose(cell.overrides))
    if index:
        file.parent.mkdir(exist_ok=True)
        write_atomic(file, json.dumps(index, indent=0, sort_keys=True) + "\n")
