"""Renew the index of cells of every paper, as `ppr publish` does for one.

python scripts/index_cells.py
"""

from __future__ import annotations

from ppr.config.places import results_root
from ppr.papers.files import find_all, folders, reference
from ppr.papers.index import write_index
from ppr.results.tree import scan


def main() -> None:
    seen = scan(results_root(None))
    for paper in find_all(folders()).values():
        if reference(paper).has_tables:
            write_index(paper, seen)


if __name__ == "__main__":
    main()
