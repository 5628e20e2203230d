"""Renew the index of cells of every paper, as `ppr publish` does for one.

python scripts/index_cells.py
"""

from __future__ import annotations

from ppr.papers.files import find_all, folders, reference
from ppr.papers.index import write_index
from ppr.results.tree import results_root, scan


def main() -> None:
    seen = scan(results_root(None))
    for paper in find_all(folders()).values():
        if reference(paper).has_tables:
            write_index(paper, seen)


if __name__ == "__main__":
    main()
