"""Of what code a component is: a digest that a run's record keeps, to be held against today's.

It covers the component's own definition and, by name, every function, class and constant that this
leads to in ppr's components or in the folders of a plug-in: a change in any of them is a change of
the component, one in a helper's neighbour is not. What cannot change a number is left out
(ppr/config/syntax.py), and where a definition lies: a file may be moved.

Left out too is what the components stand on (`FOUNDATIONS`): the engine, and the classes that
tasks, studies, evaluators and data sets are written against. A digest of those would make every
record old with each refactoring; whether they still give the same numbers is what
`ppr verify --rerun` asks, and a record names its commit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ppr import registry
from ppr.config.syntax import Imported, Module, read_module
from ppr.errors import BadRequest

FOUNDATIONS = (
    "cli", "config", "doctor", "engine", "environment", "errors", "fields", "launchers", "papers",
    "registry", "report", "results", "run", "sweepers", "trackers",
    "tasks/bench", "tasks/training", "studies/study", "evaluators/subject",
    "data/cache", "data/card", "data/dataset", "data/hub", "data/source", "data/tables",
)  # fmt: skip
"""Rooms of ppr, and `room/module`, whatever sub-folder of the room the module lies in."""

_LENGTH = 12


def components(values: Mapping[str, Any]) -> dict[str, str]:
    """`kind/name` -> digest of each component that a config names."""
    return {each: digest(each) for each in named(values)}


def named(values: Mapping[str, Any]) -> list[str]:
    """`kind/name` of each component that a config names; not where and how fast it runs.

    One may be made of another of its kind, which a field then names: `{name: part, of: digits}`.
    """
    found: dict[str, None] = {}
    for kind in registry.KINDS:
        node = values.get(kind)
        if not node or kind in registry.MACHINE_KINDS:
            continue
        known = registry.names(kind)
        for each in node.values() if kind == "evaluator" else [node]:
            said = [v.partition("/")[0] for v in each.values() if isinstance(v, str)]
            found |= {f"{kind}/{name}": None for name in said if name in known}
    return list(found)


def recorded(summary: Mapping[str, Any]) -> dict[str, str]:
    """The components that a run's summary names, with the digests of their code then."""
    return dict((summary.get("code") or {}).get("components") or {})


def outdated(recorded: Mapping[str, str]) -> list[str]:
    """Which of the components that a record names are of other code today, or no longer there."""
    return [each for each, then in recorded.items() if then != today(each)]


def today(each: str) -> str | None:
    """The digest of a component; None of one that is no longer there."""
    try:
        return digest(each)
    except BadRequest:
        return None


def where(each: str) -> str:
    """`loss/logit_norm (mine/losses/logit_norm.py)`: a component and its file."""
    try:
        path = registry.find(*each.split("/", 1))
    except BadRequest:
        return f"{each} (which is no longer there)"
    here = Path.cwd()
    return f"{each} ({path.relative_to(here) if path.is_relative_to(here) else path})"


def digest(each: str) -> str:
    """The digest of the component `kind/name`.

    Raises:
        BadRequest: there is none of that name.
    """
    spec = registry.describe(*each.split("/", 1))
    return _digest(spec.path, spec.symbol)


@cache
def _digest(path: Path, symbol: str) -> str:
    text = "\n".join(sorted(_reached(path, symbol)))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


_module = cache(read_module)


def _reached(path: Path, symbol: str) -> set[str]:
    """The code that a definition leads to, its own with it: a text a statement."""
    texts: set[str] = set()
    seen: set[tuple[Path, str]] = set()
    entered: set[Path] = set()
    ahead = [(path, symbol)]
    while ahead:
        file, name = at = ahead.pop()
        if at in seen:
            continue
        seen.add(at)
        module = _module(file)
        statements = [*module.bound.get(name, ())]
        if file not in entered:  # what binds no name may do something to what is there
            entered.add(file)
            statements += module.loose
        for statement in statements:
            texts.add(statement.text)
            ahead += [(file, used) for used in statement.names]
        imports = [pair for each in statements for pair in each.imports.items()]
        if name in module.imports:
            imports.append((name, module.imports[name]))
        for bound, found in imports:
            leads = _leads(found, file)
            ahead += leads
            if not leads and not found.is_ours:
                texts.add(f"{bound} is {found.full}")
            elif found.wanted not in ("", bound):
                texts.add(f"{bound} is {found.wanted}")
    return texts


def _leads(found: Imported, path: Path) -> list[tuple[Path, str]]:
    """The definitions of components that an import in a file binds; none if it is of others'."""
    whole = _file(found.full, path)
    if whole is not None:  # a module, any of whose definitions may be meant
        return [] if _is_foundation(whole) else [(whole, name) for name in _module(whole).bound]
    file = _file(found.origin, path) if found.wanted else None
    if file is None or _is_foundation(file):
        return []
    if file.name == "__init__.py" and _is_lazy(_module(file), found.wanted):
        mark = re.compile(rf"^(?:class|def) {re.escape(found.wanted)}\b", re.MULTILINE)
        files = [f for f in sorted(file.parent.rglob("*.py")) if mark.search(f.read_text("utf-8"))]
        return [(file, found.wanted) for file in files if not _is_foundation(file)]
    return [(file, found.wanted)]


def _is_lazy(module: Module, name: str) -> bool:
    """A package that looks its names up when they are used: `from ppr.losses import SupConLoss`."""
    return name not in module.bound and name not in module.imports


def _file(dotted: str, path: Path) -> Path | None:
    """The file of a module of ppr's or a plug-in's, seen from a file; None for others'."""
    for inside in _places(dotted, path):
        for file in (inside.with_suffix(".py"), inside / "__init__.py"):
            if file.is_file():
                return file
    return None


def _places(dotted: str, path: Path) -> Iterator[Path]:
    name = dotted.lstrip(".")
    parts = name.split(".") if name else []
    if level := len(dotted) - len(name):
        yield path.parents[level - 1].joinpath(*parts)
    elif parts[0] == "ppr":
        yield registry.home().parent.joinpath(*parts)
    elif not path.is_relative_to(registry.home()):  # a plug-in's, from its own folders
        for folder in path.parents[:3]:
            if folder.name not in ("site-packages", "dist-packages"):
                yield folder.joinpath(*parts)


def _is_foundation(file: Path) -> bool:
    if not file.is_relative_to(registry.home()):
        return False
    parts = file.relative_to(registry.home()).with_suffix("").parts
    return parts[0] in FOUNDATIONS or f"{parts[0]}/{parts[-1]}" in FOUNDATIONS
