"""Renew the index of cells of every paper, as `ppr publish` does for one.

    python scripts/index_cells.py

By the published records alone, since these say what a tuned row has chosen; runs of one's own would
choose otherwise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ppr.papers.files import find_all, folders, reference
from ppr.papers.index import write_index
from ppr.results.tree import scan


def main() -> None:
    with tempfile.TemporaryDirectory() as none:
        seen = scan(Path(none))
    for paper in find_all(folders()).values():
        if reference(paper).has_tables:
            write_index(paper, seen)


if __name__ == "__main__":
    main()
