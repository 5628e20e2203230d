"""KonIQ-10k's votes: how many of about 120 people gave each of 10,073 photographs one to five.

Hosu et al., "KonIQ-10k: An Ecologically Valid Database for Deep Learning of Blind Image Quality
Assessment", arXiv:1910.06180: `votes` has a photograph a row, the shares `c1` (bad) to `c5`
(excellent) of its votes, their number `c_total`, the authors' cleaned mean `MOS` (0 to 100), the
votes' deviation `SD` and the photograph's `set`. No pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ppr.data import originals
from ppr.data.card import Original
from ppr.data.published.tables import PublishedTables, published
from ppr.registry import component

COMMIT = "1c271570ac83aeb6aa8e7ff25449f3299b0d2e53"
FILE = "koniq10k_distributions_sets.csv"


def unpack(folder: Path, files: Mapping[str, Path]) -> None:
    originals.gather({files[FILE]: {}}, folder / "votes.parquet")


@component("dataset", inputs="rows", has="tables")
class KoniqVotes(PublishedTables):
    card = published(
        "koniq_votes",
        source=f"https://github.com/subpic/koniq/tree/{COMMIT}",
        licence="MIT",
        tables={
            "votes": (10_073, "da0ac40b8c04bdc74183edabc57eaddcb1102e7bb2a68fcacbf8ee5b01e39521")
        },
        originals={
            FILE: Original(
                f"https://raw.githubusercontent.com/subpic/koniq/{COMMIT}/metadata/{FILE}",
                "d0bd1ad54a60bc36fe172049e46ac76c83554e50ab84acebfd47b82b3e698a0a",
            )
        },
        unpack=unpack,
    )
