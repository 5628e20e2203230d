"""The words of the commands, each completed from the configs, the registry and the results tree.

A Tab takes a tenth of a second, most of it Python's own start: nothing here composes or imports a
component.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, get_args

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from ppr.registry import Field

    Word = click.ParamType[str]
else:
    Word = click.ParamType  # generic since click 8.4 alone

_EXPERIMENT = re.compile(
    r'^\{(?:"like": ?"\w+", ?)?"summary": ?\{[^{}]{0,40}"experiment": ?"(\w+)"', re.MULTILINE
)


class Names(Word):
    """A word that is one of some names, which are looked up when Tab is pressed."""

    def __init__(self, name: str, names: Callable[[], Iterable[str]]) -> None:
        self.name = name
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]


class Pairs(Word):
    """KEY=VALUE, or one of some names where those are allowed too."""

    name = "key=value"

    def __init__(self, names: Callable[[], Iterable[str]] = tuple) -> None:
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        typed = os.environ.get("COMP_WORDS", "").split()
        # bash breaks words at "=": the key is then a word of its own before it.
        if "=" not in incomplete or incomplete == "=":
            is_begun = incomplete not in ("", "=") and typed[-1:] == [incomplete]
            before = typed[:-1] if is_begun else typed
            if before[-1:] == ["="] and len(before) > 1:
                stem = "" if incomplete == "=" else incomplete
                found = self.values(before[-2], _pairs(before))
                return [CompletionItem(value) for value in found if value.startswith(stem)]
        if "=" in incomplete:
            key, _, stem = incomplete.partition("=")
            found = self.values(key, _pairs(typed))
            return [CompletionItem(f"{key}={value}") for value in found if value.startswith(stem)]
        every = (*self._names(), *self.keys(incomplete, _pairs(typed)))
        return [CompletionItem(word) for word in every if word.startswith(incomplete)]

    def keys(self, stem: str, typed: dict[str, str]) -> Iterator[str]:
        """The keys that may be meant; the fields of a component once its group is typed."""
        group, dot, _ = stem.partition(".")
        if dot and group == "engine":
            from ppr.config.settings import engine_fields

            yield from (f"engine.{name}=" for name in engine_fields())
        elif dot and group not in ("data", "results"):
            yield from (f"{group}.{name}=" for name in _fields(group, typed))
        else:
            from ppr.config.places import groups

            yield from (f"{name}=" for name in (*groups(), "seed", "data.root", "results.root"))
            yield "engine."

    def values(self, key: str, typed: dict[str, str]) -> Iterable[str]:
        group, dot, name = key.partition(".")
        if not dot:
            return _options(group)
        if group == "engine":
            from ppr.config.settings import engine_fields

            fields = engine_fields()
        else:
            fields = _fields(group, typed)
        if name not in fields:
            return []
        field = fields[name]
        if field.type is bool:
            return ["true", "false"]
        return [str(word) for word in get_args(field.type) if isinstance(word, str | int)] or [
            str(field.default)
        ]


class _Filters(Pairs):
    """What `ppr results` filters by: an experiment of the tree, or a key."""

    def values(self, key: str, typed: dict[str, str]) -> Iterable[str]:
        if key in ("published", "state", "experiment"):
            from ppr.results.tree import State

            states = [state for state in get_args(State) if state != "absent"]
            known = {"published": ["true", "false"], "state": states}
            return known.get(key) or _recorded()
        return super().values(key, typed)

    def keys(self, stem: str, typed: dict[str, str]) -> Iterator[str]:
        yield from ("state=", "published=", "variant=", "scale=")
        yield from super().keys(stem, typed)


def _pairs(typed: list[str]) -> dict[str, str]:
    """The pairs typed so far, whichever way the shell breaks words."""
    joined = " ".join(typed).replace(" = ", "=")
    return dict(word.split("=", 1) for word in joined.split() if "=" in word)


def _options(group: str) -> list[str]:
    from ppr.config.places import groups, options

    return list(options(group)) if group in groups() else []


def _fields(group: str, typed: dict[str, str]) -> dict[str, Field]:
    """The fields of the component that the words typed so far choose for a group."""
    from ppr import registry
    from ppr.config.bodies import lineage
    from ppr.config.usage import component_of
    from ppr.errors import BadRequest

    if group not in registry.KINDS:
        return {}
    try:
        chosen = lineage(typed.get("experiment") or _default_experiment())
        option = typed.get(group) or next(iter(chosen.get(group, [])), None)
        if option is None:
            return {}
        return dict(registry.describe(group, component_of(group, option)).fields)
    except BadRequest:
        return {}


def _default_experiment() -> str:
    """What `ppr run` runs without a word."""
    from ppr.config.places import shipped_configs

    text = (shipped_configs() / "config.yaml").read_text(encoding="utf-8")
    found = re.search(r"^  - experiment: (\w+)$", text, re.MULTILINE)
    return found[1] if found else ""


def _kinds() -> list[str]:
    from ppr import registry

    return ["experiment", *registry.KINDS]


def _components() -> Iterator[str]:
    for kind in _kinds():
        yield from (f"{kind}/{name}" for name in _options(kind))


def _papers() -> Iterable[str]:
    from ppr.papers.files import find_all, folders

    return find_all(folders())


def _tables() -> Iterator[str]:
    """Papers, and their tables: the keys of one indent under `tables:`, without reading YAML."""
    from ppr.papers.files import find_all, folders

    for slug, path in find_all(folders()).items():
        yield slug
        _, _, rest = path.read_text(encoding="utf-8").partition("\ntables:\n")
        block = re.split(r"^\S", rest, maxsplit=1, flags=re.MULTILINE)[0]
        yield from (f"{slug}/{name}" for name in re.findall(r"^  (\w+):", block, re.MULTILINE))


def _recorded() -> list[str]:
    """The experiments that have runs in the results tree."""
    from ppr.config.places import results_root
    from ppr.results.tree import published_files

    root = results_root()
    live = [path.name for path in root.glob("[!.]*") if path.is_dir()]
    texts = (path.read_text(encoding="utf-8") for path in published_files(root))
    # A run's summary comes first in its line, and the experiment early in that.
    published = (name for text in texts for name in _EXPERIMENT.findall(text))
    return sorted({*live, *published})


def _runs() -> Iterator[str]:
    yield from _recorded()
    yield from _tables()


def _sweeps() -> list[str]:
    from ppr.config.places import results_root

    return ["last", *(path.parent.name for path in results_root().glob(".sweeps/*/sweep.json"))]


KIND = Names("kind", _kinds)
COMPONENT = Names("component", _components)
EXPERIMENT = Names("experiment", lambda: _options("experiment"))
PAPER = Names("paper", _papers)
TABLE = Names("paper[/table]", _tables)
RECORDED = Names("run", _recorded)
DRAWN = Names("run", _runs)
DATASET = Names("dataset", lambda: _options("dataset"))
SWEEP = Names("sweep", _sweeps)
WORDS = Pairs()
FILTERS = _Filters(_recorded)
