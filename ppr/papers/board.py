"""The scoreboard: where every paper stands, in half a second for hundreds of them.

Composing cells and testing claims takes seconds, so a paper's standing is kept in the user's cache
folder with the state of all that it follows from: the paper's file, every config and source file of
ppr, and the summaries of its experiments. Any of these changed, it is worked out anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppr
from ppr.errors import BadRequest
from ppr.papers.files import Reference, find_all, read, reference

if TYPE_CHECKING:
    from ppr.papers.cells import Resolve, Results

_EXPERIMENT = re.compile(r"^experiment=(.+)$")


@dataclass(frozen=True)
class Standing:
    """Where a paper stands. `problem`: why its cells cannot be filled, in one line.

    `scales`: those of its tables; `reached`: the largest of a table that has a run in every cell.
    `verdicts`: scale -> outcome -> how many claims.
    """

    scales: tuple[str, ...] = ()
    reached: str | None = None
    verdicts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    problem: str | None = None


def board(
    where: Sequence[Path], root: Path, resolve: Resolve, family: str | None = None
) -> list[tuple[Reference, Standing]]:
    """Every paper's reference and standing; those without tables are planned, never hidden."""
    papers = [reference(path) for path in find_all(where).values()]
    if family is not None:
        known = {paper.family for paper in papers}
        if family not in known:
            from ppr.errors import choices

            raise BadRequest(f"--family {family}: {choices(family, known)}")
        papers = [paper for paper in papers if paper.family == family]
    keep = _Cache(root, [folder.parent for folder in where])
    results = _later(resolve, root)
    standings = [
        (paper, keep.standing(paper, results) if paper.has_tables else Standing())
        for paper in papers
    ]
    keep.save()
    return standings


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
    from ppr.papers.schema import SCALES

    paper = read(path)
    words = [
        word
        for name, table in paper.tables.items()
        for cell in cells(name, table)
        for word in cell.overrides
    ]
    experiments = sorted({m[1] for word in words if (m := _EXPERIMENT.match(word))})
    scales = tuple(s for s in SCALES if any(t.scale == s for t in paper.tables.values()))
    try:
        verdicts: dict[str, Counter[str]] = {scale: Counter() for scale in scales}
        for verdict in judge(paper, results):
            verdicts[verdict.scale][verdict.outcome] += 1
        full = {
            table.scale
            for name, table in paper.tables.items()
            if all(results.fill(cell).samples for cell in cells(name, table))
        }
    except BadRequest as error:
        return Standing(scales, problem=str(error)), experiments
    reached = max(full, key=SCALES.index, default=None)
    return Standing(scales, reached, {s: dict(c) for s, c in verdicts.items()}), experiments


class _Cache:
    """Standings by paper, each with a stamp of what it follows from."""

    def __init__(self, root: Path, configs: Sequence[Path]) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._root = root.resolve()
        self._file = base / "ppr" / "papers" / f"{_hash([str(self._root)])}.json"
        self._code = _hash(_stamps([*configs, Path(ppr.__file__).parent], (".yaml", ".py")))
        self._known: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            self._known = json.loads(self._file.read_text(encoding="utf-8"))
        self._changed = False

    def standing(self, paper: Reference, results: Callable[[], Results]) -> Standing:
        entry = self._known.get(str(paper.path), {})
        if entry and entry.get("stamp") == self._stamp(entry["experiments"]):
            return Standing(**entry["standing"])
        found, experiments = standing(paper.path, results())
        stamp = self._stamp(experiments)
        self._known[str(paper.path)] = {
            "experiments": experiments,
            "stamp": stamp,
            "standing": asdict(found),
        }
        self._changed = True
        return found

    def _stamp(self, experiments: Sequence[str]) -> str:
        """The paper's own file is among the configs."""
        live = (
            f"{path}:{_state(path)}"
            for experiment in experiments
            for path in sorted((self._root / experiment).glob("*/seed=*/summary.json"))
        )
        published = (f"{path}:{_state(path)}" for path in sorted(self._root.glob("*.jsonl")))
        return _hash([self._code, *live, *published])

    def save(self) -> None:
        if not self._changed:
            return
        # A cache that cannot be written costs time, not the answer.
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            aside = self._file.with_suffix(f".{os.getpid()}")
            aside.write_text(json.dumps(self._known), encoding="utf-8")
            aside.replace(self._file)


def _stamps(folders: Sequence[Path], endings: tuple[str, ...]) -> Iterator[str]:
    for folder in folders:
        if folder.is_dir():
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                if entry.is_dir():
                    yield from _stamps([Path(entry.path)], endings)
                elif entry.name.endswith(endings):
                    yield f"{entry.path}:{_state(entry)}"


def _state(path: Path | os.DirEntry[str]) -> str:
    found = path.stat()
    return f"{found.st_mtime_ns}:{found.st_size}"


def _hash(parts: Sequence[str] | Iterator[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
