"""Imports go downwards: a room of ppr/ knows those below it alone; its files stand in no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ppr

HOME = Path(ppr.__file__).parent
ORDER = (
    "errors fields paths urls streams commands registry config results",
    "graphs data models losses optimizers schedules augment samplers mixups decoding scaling",
    "engine",
    "evaluators",
    "tasks",
    "studies",
    "environment display trackers run loading",
    "sweepers",
    "launchers",
    "papers",
    "report",
    "doctor",
    "cli",
    "__init__ __main__",
)
"""The rooms from the ground up; what stands in one line is ordered by its words."""

LEVEL = {room: level for level, room in enumerate(" ".join(ORDER).split())}
FILES = sorted(HOME.rglob("*.py"))


def imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, Path]]:
    """The files of ppr that statements import, with the line."""
    for node in nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if file_of(name) else node.module for name in inner]
        yield from ((node.lineno, file) for name in names if (file := file_of(name)))  # type: ignore[attr-defined]


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def file_of(module: str) -> Path | None:
    """The file of a module of ppr."""
    parts = module.split(".")
    if parts[0] != "ppr":
        return None
    base = HOME.joinpath(*parts[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if len(parts) > 1 and path.is_file():
            return path
    return None


def room(path: Path) -> str:
    return path.relative_to(HOME).parts[0].removesuffix(".py")


def test_every_room_has_its_level() -> None:
    assert {room(path) for path in FILES if "skeletons" not in path.parts} == {*LEVEL}


def test_imports_go_downwards() -> None:
    upwards = [
        f"{path.relative_to(HOME)}:{line} imports {file.relative_to(HOME)}"
        for path in FILES
        for line, file in imported(ast.walk(parse(path)))
        if LEVEL[room(file)] > LEVEL[room(path)]
    ]
    assert not upwards


@pytest.mark.parametrize("name", sorted({room(path) for path in FILES}))
def test_no_circle_of_files_within_a_room(name: str) -> None:
    """Of any import: at the top, within a function, or for its types alone."""
    inside = {path for path in FILES if room(path) == name and path.name != "__init__.py"}
    needs = {path: {f for _, f in imported(ast.walk(parse(path))) if f != path} for path in inside}
    order = TopologicalSorter({path: files & inside for path, files in needs.items()})
    assert len([*order.static_order()]) == len(inside)  # CycleError if not
