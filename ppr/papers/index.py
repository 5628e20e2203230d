"""The index of a paper's cells, `index/<slug>.json` beside it: words -> experiment and variant.

It spares a fresh clone from composing every cell of every paper, in each universe of its claims,
and from looking for the universes that a table has by itself. An entry whose config files have
changed since is passed over, so an old index costs time, never an answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppr.papers import cache
from ppr.papers.cells import Cell, Results, cells
from ppr.papers.files import read
from ppr.papers.multiverse import planned
from ppr.papers.plans import plans
from ppr.papers.schema import Paper
from ppr.papers.tuned import tuning_runs
from ppr.papers.words import composed
from ppr.results.files import write_atomic
from ppr.results.tree import Scan


def indexed_cells(paper: Paper, results: Results) -> tuple[list[Cell], list[Cell]]:
    """Those of its tables, tuning and universes; and those whose facts universes follow from."""
    found = [cell for name, table in paper.tables.items() for cell in cells(name, table)]
    found += [each.cell for each in tuning_runs(paper, results)]
    asked = [
        cell
        for name, groups in plans(paper).items()
        for group in groups
        for cell in group
        if paper.claims[name].kind == "finding" and cell.table.scale == "desk"
    ]
    return [*found, *planned(paper, results)], asked


def write_index(paper: Path, seen: Scan) -> None:
    """Write the index of the paper in a file; what the old one knows and still holds is kept.

    `seen`: the runs that have chosen what a tuned cell is.
    """
    file = paper.parent / cache.INDEX / f"{paper.stem}.json"
    old = list(_parts(cache.entries(file)))
    known = {(part, words): (options, entry) for options, entry, part, words in old}
    results = Results(cache.Variants(composed), seen)
    every, compared = indexed_cells(read(paper), results)
    index: dict[str, Any] = {}
    for part, found in (("variants", every), ("facts", compared)):
        for words in dict.fromkeys(json.dumps(list(results.words(cell))) for cell in found):
            if (part, words) in known:
                options, entry = known[part, words]
                new = index.setdefault(options, {"digest": entry["digest"], "variants": {}})
                new.setdefault(part, {})[words] = entry[part][words]
            else:
                add = cache.add_variant if part == "variants" else cache.add_facts
                index = add(index, words, composed(json.loads(words)))
    if index:
        file.parent.mkdir(exist_ok=True)
        write_atomic(file, json.dumps(index, indent=0, sort_keys=True) + "\n")


def _parts(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, str]]:
    for options, entry in content.items():
        for part in ("variants", "facts"):
            for words in entry.get(part, ()):
                yield options, entry, part, words
