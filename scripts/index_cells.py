"""Write configs/paper/variants.json: the variant of every cell of every paper.

    python scripts/index_cells.py

Composing all cells takes a minute; with the index, a fresh clone shows its papers at once. An entry
whose config files have changed since is passed over, so an old index costs time, never an answer.
"""

from __future__ import annotations

import json
from typing import Any

from ppr.config.compose import compose
from ppr.papers.cache import INDEX, add_variant
from ppr.papers.cells import cells
from ppr.papers.files import folders, read
from ppr.results.files import write_atomic


def main() -> None:
    (folder,) = folders()
    index: dict[str, Any] = {}
    for path in sorted(folder.glob("*.yaml")):
        for name, table in read(path).tables.items():
            for cell in cells(name, table):
                index = add_variant(
                    index, json.dumps(list(cell.overrides)), compose(cell.overrides)
                )
    write_atomic(folder / INDEX, json.dumps(index, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
