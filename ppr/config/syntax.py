"""Python source as text that is the same for the same code: no comments, layout or spelling.

Left out is what cannot change a number: docstrings, annotations, the words of an error, imports
(what they bind is told apart), `if TYPE_CHECKING:`, the mark of a component, and the statement that
shows the engine its samples. `ast.dump` and
`ast.unparse` would not do: what they write changes with the version of Python.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_UNREAD = {"ctx", "kind", "type_comment", "type_ignores", "annotation", "returns"}
_BUILT_IN = frozenset(dir(builtins))


@dataclass(frozen=True)
class Imported:
    """A name bound by an import: `from origin import wanted`, or `import origin` without one.

    `origin` keeps the dots of a relative import.
    """

    origin: str
    wanted: str = ""

    @property
    def full(self) -> str:
        between = "" if self.origin.endswith(".") or not self.wanted else "."
        return f"{self.origin}{between}{self.wanted}"

    @property
    def is_ours(self) -> bool:
        return self.origin.startswith(".") or self.origin.partition(".")[0] == "ppr"


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement of a file's top level."""

    node: ast.stmt

    @cached_property
    def text(self) -> str:
        parts: list[str] = []
        _write(self.node, parts.append)
        return "".join(parts)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name in it, annotations and Python's own aside."""
        found: set[str] = set()
        ahead: list[Any] = [self.node]
        while ahead:
            node = ahead.pop()
            if isinstance(node, list):
                ahead += node
            elif isinstance(node, ast.AST):
                if isinstance(node, ast.Name):
                    found.add(node.id)
                ahead += [value for key, value in ast.iter_fields(node) if key not in _UNREAD]
        return frozenset(found - _BUILT_IN)

    @cached_property
    def imports(self) -> Mapping[str, Imported]:
        """What the imports inside it bind, a function's too."""
        return dict(_imported(self.node))


@dataclass(frozen=True)
class Module:
    """A file's top level: what binds each name, and the statements that bind none."""

    bound: Mapping[str, list[Statement]]
    imports: Mapping[str, Imported]
    loose: list[Statement]


def read_module(path: Path) -> Module:
    bound: dict[str, list[Statement]] = {}
    imports: dict[str, Imported] = {}
    loose: list[Statement] = []
    for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports |= _imported(node)
        elif not _is_silent(node):
            statement, names = Statement(node), set(_bindings(node))
            for name in names:
                bound.setdefault(name, []).append(statement)
            if not names:
                loose.append(statement)
    return Module(bound, imports, loose)


def _bindings(statement: ast.stmt) -> Iterator[str]:
    """The names that a top-level statement gives a value."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]


def _imported(statement: ast.AST) -> Iterator[tuple[str, Imported]]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head = alias.name.partition(".")[0]
                yield alias.asname or head, Imported(alias.name)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            for alias in node.names:
                yield alias.asname or alias.name, Imported(origin, alias.name)


def _is_silent(node: ast.AST) -> bool:
    """A docstring, an import (what it binds is told apart), what is for type checkers, and
    `show_samples(…)`, which is given what was computed and gives nothing back."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Call):
            return ast.unparse(node.value.func) == "show_samples"
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.Import | ast.ImportFrom)


def _write(value: Any, write: Callable[[str], None]) -> None:
    if isinstance(value, ast.JoinedStr):
        _write_formatted(value, write)
    elif isinstance(value, ast.AST):
        write(f"({type(value).__name__}")
        for key, inner in sorted(ast.iter_fields(value)):
            if key in _UNREAD or inner is None or inner == []:
                continue
            write(f" {key}=")
            _write(_told(value, key, inner), write)
        write(")")
    elif isinstance(value, list):
        write("[")
        for inner in value:
            _write(inner, write)
            write(",")
        write("]")
    else:
        write(repr(value))


def _told(node: ast.AST, key: str, inner: Any) -> Any:
    """A field of a node less what is left out of it."""
    if isinstance(node, ast.Raise) and isinstance(inner, ast.Call):
        return inner.func
    if key == "decorator_list":
        return [each for each in inner if not _is_mark(each)]
    if isinstance(inner, list):
        return [e for e in inner if not (isinstance(e, ast.stmt) and _is_silent(e))]
    return inner


def _write_formatted(value: ast.JoinedStr, write: Callable[[str], None]) -> None:
    """An f-string: versions of Python cut its plain parts up differently."""
    plain = ""
    write("(f")
    for part in value.values:
        if isinstance(part, ast.Constant):
            plain += str(part.value)
            continue
        write(repr(plain) if plain else "")
        plain = ""
        _write(part, write)
    write(f"{plain!r})" if plain else ")")


def _is_mark(decorator: ast.expr) -> bool:
    """`@component("loss")`, which says what is named so, not what it does."""
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "component"
