"""The scoreboard: where every paper stands, in half a second for hundreds of them.

Composing cells and testing claims takes seconds, so a paper's standing is kept in the user's cache
folder with the state of all that it follows from: the paper's file, every config and source file of
ppr, and the summaries of its experiments. Any of these changed, it is worked out anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.errors import BadRequest, choices
from ppr.papers.cache import Kept, code_stamp, digest, stamp
from ppr.papers.files import Reference, read, references
from ppr.papers.pairs import Pair, pairs

if TYPE_CHECKING:
    from ppr.papers.cells import Filled, Resolve, Results
    from ppr.papers.schema import Paper

_EXPERIMENT = re.compile(r"^experiment=(.+)$")


@dataclass(frozen=True)
class Standing:
    """Where a paper stands. `problem`: why some cells cannot be filled, in one line.

    `scales`: those of the tables whose experiments are there; `reached`: the largest of a table
    that has a run in every cell.
    `pairs`: the cells with a reported and a reproduced value.
    `verdicts`: scale -> kind of claim -> outcome -> how many, as `ppr.papers.kinds` counts them.
    """

    scales: tuple[str, ...] = ()
    reached: str | None = None
    verdicts: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    problem: str | None = None
    pairs: tuple[Pair, ...] = ()


def board(
    where: Sequence[Path], root: Path, resolve: Resolve, family: str | None = None
) -> list[tuple[Reference, Standing]]:
    """Every paper's reference and standing; those without tables are planned, never hidden.

    A file that cannot be read is there with its problem, and no title.
    """
    papers, wrong = references(where)
    if family is not None:
        known = {paper.family for paper in papers}
        if family not in known:
            raise BadRequest(f"--family {family}: {choices(family, known)}")
        papers = [paper for paper in papers if paper.family == family]
    keep = _Cache(root, [folder.parent for folder in where])
    results = _later(resolve, root)
    standings = [
        (paper, _standing_of(paper, keep, results) if paper.has_tables else Standing())
        for paper in papers
    ]
    keep.save()
    if family is None:
        standings += [
            (Reference(path.stem, "", 0, "", False, path), Standing(problem=reason))
            for path, reason in wrong.items()
        ]
    return standings


def _standing_of(paper: Reference, keep: _Cache, results: Callable[[], Results]) -> Standing:
    """One wrong file is one wrong line of the list."""
    try:
        return keep.standing(paper, results)
    except BadRequest as error:
        return Standing(problem=str(error))


def _later(resolve: Resolve, root: Path) -> Callable[[], Results]:
    """The results tree is read when the first paper needs it, once."""
    found: list[Results] = []

    def results() -> Results:
        if not found:
            from ppr.papers.cells import Results
            from ppr.results.tree import scan

            found.append(Results(resolve, scan(root)))
        return found[0]

    return results


def standing(path: Path, results: Results) -> tuple[Standing, list[str]]:
    """A paper's standing worked out, and the experiments that its cells name."""
    from ppr.papers.cells import cells
    from ppr.papers.claims import judge
    from ppr.papers.kinds import tally
    from ppr.papers.table_schema import SCALES

    paper = read(path)
    words = [
        word
        for name, table in paper.tables.items()
        for cell in cells(name, table)
        for word in cell.overrides
    ]
    for each in (*paper.tables.values(), *paper.claims.values()):
        words += [word for text in each.universes.named.values() for word in text.split()]
    experiments = sorted({m[1] for word in words if (m := _EXPERIMENT.match(word))})
    filled, problems = fill_tables(paper, results)
    ready = {paper.tables[name].scale for name in filled}
    full = {
        paper.tables[name].scale
        for name, found in filled.items()
        if all(cell.samples for cell in found)
    }
    return Standing(
        scales=tuple(scale for scale in SCALES if scale in ready),
        reached=max(full, key=SCALES.index, default=None),
        verdicts=tally(paper, judge(paper, results)),
        problem=problems[0] if problems else None,
        pairs=tuple(pairs(paper, results)),
    ), experiments


def fill_tables(paper: Paper, results: Results) -> tuple[dict[str, list[Filled]], list[str]]:
    """The cells of each table whose experiments are there, and what is wrong with the others."""
    from ppr.papers.cells import cells

    filled: dict[str, list[Filled]] = {}
    problems: list[str] = []
    for name, table in paper.tables.items():
        try:
            filled[name] = [results.fill(cell) for cell in cells(name, table)]
        except BadRequest as error:
            problems.append(str(error))
    return filled, problems


class _Cache:
    """Standings by paper, each with a stamp of what it follows from."""

    def __init__(self, root: Path, configs: Sequence[Path]) -> None:
        self._root = root.resolve()
        self._kept = Kept(f"standings-{digest([str(self._root)])}")
        self._code = code_stamp(configs)
        self._changed = False

    def standing(self, paper: Reference, results: Callable[[], Results]) -> Standing:
        known = self._kept.content
        entry = known.get(str(paper.path), {})
        with suppress(KeyError, TypeError, AttributeError):  # of another version
            if entry["stamp"] == self._stamp(entry["experiments"]):
                kept = entry["standing"]
                return Standing(**{**kept, "pairs": tuple(Pair(**p) for p in kept["pairs"])})
        found, experiments = standing(paper.path, results())
        known[str(paper.path)] = {
            "experiments": experiments,
            "stamp": self._stamp(experiments),
            "standing": asdict(found),
        }
        self._changed = True
        return found

    def _stamp(self, experiments: Sequence[str]) -> str:
        """The paper's own file is among the configs."""
        live = (
            stamp(path)
            for experiment in experiments
            for path in sorted((self._root / experiment).glob("*/seed=*/summary.json"))
        )
        from ppr.results.tree import published_files

        published = (stamp(path) for path in published_files(self._root))
        return digest([self._code, *live, *published])

    def save(self) -> None:
        if self._changed:
            self._kept.save()
