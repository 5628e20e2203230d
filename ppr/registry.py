"""From a name to a component: found by file name, described from its source, imported when built.

A component is a class or function marked `@component("loss")` in a file that carries its name:
`ppr/losses/contrastive/supcon.py` holds the loss `supcon`, and would in any other sub-folder: those
are for readers. Its positional parameters are what the runner hands it (an input shape, a module to
optimise); its keyword-only parameters are its config fields, with those of the base class to which
it hands on its `**fields`.

Files are read with `ast`, so listing, describing and checking import nothing, torch least of all.
A user's own components live in packages named by the entry-point group `ppr.plugins`, or in single
files added with `--plugin`.

The mark also declares what the component fits with, so that a run of parts that do not is refused
before anything is read (ppr/config/fit.py): `@component("loss", family="two-tower")`.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ppr.errors import BadRequest, PprError, choices
from ppr.paths import expanded

if TYPE_CHECKING:
    from pydantic import TypeAdapter

KINDS: Mapping[str, tuple[str, ...]] = {
    "task": ("tasks", "studies"),
    "model": ("models",),
    "head": ("models",),
    "dataset": ("data",),
    "augment": ("augment",),
    "sampler": ("samplers",),
    "mixup": ("mixups",),
    "loss": ("losses",),
    "optimizer": ("optimizers",),
    "schedule": ("schedules",),
    "evaluator": ("evaluators",),
    "tracker": ("trackers",),
    "launcher": ("launchers",),
    "sweeper": ("sweepers",),
}
"""Each kind of component and the folders of the package that hold it."""

MACHINE_KINDS = frozenset({"tracker", "launcher", "sweeper"})
"""Where, how fast and with what record a run is computed: they change no number."""

REQUIRED = object()
"""The default of a field that has none."""

DECLARED: Mapping[str, tuple[str, ...]] = {
    "evaluator": ("keeps",),
    "task": ("losses", "inputs", "targets", "needs", "shows", "features", "outputs", "takes"),
    "loss": ("family", "targets"),
    "dataset": ("inputs", "targets", "has", "like", "finds"),
    "model": ("inputs", "features"),
    "head": ("outputs",),
    "augment": ("inputs",),
    "mixup": ("inputs",),
}
"""What the mark of a kind may declare beside a name; ppr/config/fit.py says what each means."""

_MARK = re.compile(
    r'^@component\(\s*"(?P<kind>\w+)"(?:,\s*name="(?P<name>[\w-]+)")?\s*[,)]', re.MULTILINE
)
_HOME = Path(__file__).parent
_plugin_files: list[Path] = []

T = TypeVar("T")


def component(
    kind: str, *, name: str | None = None, **declared: str | tuple[str, ...]
) -> Callable[[T], T]:
    """Mark a class or function as the component of `kind` that its file is named after.

    `name`, which comes first, is for plug-in files that hold several components; one file, one
    component otherwise. What is `declared` besides, of DECLARED, is literal: it is read, not run.
    """
    del name
    if kind not in KINDS:
        raise ValueError(f"@component({kind!r}): {choices(kind, KINDS)}")
    for key in declared:
        if key not in DECLARED.get(kind, ()):
            raise ValueError(f"@component({kind!r}, {key}=…): {choices(key, DECLARED[kind])}")
    return lambda target: target


@dataclass(frozen=True)
class Field:
    """One config field: its name, type as written, type and default."""

    name: str
    annotation: str
    type: Any
    default: Any
    science: bool = True
    """Whether it can change a number, and so is in the run id."""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What checks a value against the type; made once, for making one costs far more."""
        from pydantic import TypeAdapter

        return TypeAdapter(self.type)


KEEP = Field("keep", "bool", bool, False, science=False)
"""Of an evaluator that `keeps` samples: their predictions too, in a file beside the summary. It is
the engine that does so: the component is not told."""


@dataclass(frozen=True)
class Spec:
    """What a component's source says about it."""

    kind: str
    name: str
    path: Path
    symbol: str
    doc: str
    fields: Mapping[str, Field]
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        return self.doc.strip().split("\n", 1)[0]


@lru_cache(maxsize=1)
def plugin_roots() -> tuple[Path, ...]:
    """Folders of the installed packages in the entry-point group `ppr.plugins`."""
    roots = []
    for point in entry_points(group="ppr.plugins"):
        found = importlib.util.find_spec(point.value.split(":")[0])
        if found is None or found.origin is None:
            raise BadRequest(f"plug-in {point.name!r}: cannot import {point.value!r}")
        roots.append(Path(found.origin).parent)
    return tuple(roots)


def add_plugin(path: str | Path) -> None:
    """Add the components of one Python file, or of every file of a folder, for this process."""
    where = expanded(path, "--plugin").resolve()
    if not where.exists():
        raise BadRequest(f"plug-in {where}: no such file or folder")
    if where.is_file():
        _parse(where)  # said now, of a file that is named; others of a folder may be anything
    files = [where] if where.is_file() else sorted(where.rglob("*.py"))
    known = [file for file in files if _MARK.search(_text(file))]
    if not known:
        raise BadRequest(f'plug-in {where}: no class or function marked @component("<kind>")')
    _plugin_files.extend(file for file in known if file not in _plugin_files)
    _index.cache_clear()
    describe.cache_clear()


def _text(path: Path) -> str:
    """A source file's text; nothing where it is no file (a pipe would be waited for) or no text."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""


def plugin_files() -> list[Path]:
    """The files added with `add_plugin`, for the processes that go on with this one's work."""
    return list(_plugin_files)


def home() -> Path:
    """The folder of ppr's own code."""
    return _HOME


def _sources() -> Iterator[Path]:
    folders = {folder for group in KINDS.values() for folder in group}
    for folder in sorted(folders):
        yield from sorted((_HOME / folder).rglob("*.py"))
    for root in plugin_roots():
        yield from sorted(root.rglob("*.py"))
    yield from _plugin_files


@lru_cache(maxsize=1)
def _index() -> dict[str, dict[str, Path]]:
    index: dict[str, dict[str, Path]] = {kind: {} for kind in KINDS}
    for path in _sources():
        for mark in _MARK.finditer(_text(path)):
            kind, name = mark["kind"], mark["name"] or path.stem
            if kind not in KINDS:
                raise BadRequest(f"{path}: @component({kind!r}): {choices(kind, KINDS)}")
            other = index[kind].setdefault(name, path)
            if other != path:
                raise BadRequest(f"{kind} {name!r} is defined twice: {other} and {path}")
    return index


def check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise BadRequest(f"unknown kind {kind!r}: {choices(kind, KINDS)}")
    return kind


def names(kind: str) -> dict[str, Path]:
    """Every component of a kind, with the file that holds it."""
    return dict(sorted(_index()[check_kind(kind)].items()))


def find(kind: str, name: str) -> Path:
    """The file of a component; `family/variant` (as in `timm/vit_tiny`) is found by its family."""
    known = names(kind)
    family = name.split("/", 1)[0]
    if family not in known:
        raise BadRequest(f"unknown {kind} {name!r}: {choices(name, known)}")
    return known[family]


@cache
def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise BadRequest(f"{path}:{error.lineno or 1}: not Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadRequest(f"{path}: not Python: {error}") from None


@cache
def describe(kind: str, name: str) -> Spec:
    """Read a component's docstring and config fields from its source, without importing it."""
    path = find(kind, name)
    family = name.split("/", 1)[0]
    module = _parse(path)
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and _is_marked(
            node, kind, family, path
        ):
            _refuse_circle(node, path)
            own_doc = ast.get_docstring(node) or ""
            doc = "\n\n".join(filter(None, (ast.get_docstring(module), own_doc)))
            declared = _declared(node, kind, path)
            fields = _fields(node, path)
            if "samples" in declared.get("keeps", ()):
                fields[KEEP.name] = KEEP
            return Spec(kind, family, path, node.name, doc, fields, declared)
    raise BadRequest(f"{path}: no top-level class or function is marked @component({kind!r})")


def _refuse_circle(
    node: ast.ClassDef | ast.FunctionDef, path: Path, below: tuple[tuple[Path, str], ...] = ()
) -> None:
    if (path, node.name) in below:
        raise BadRequest(f"{path}:{node.lineno}: class {node.name} inherits from itself")
    for base in node.bases if isinstance(node, ast.ClassDef) else ():
        found = _class_of(ast.unparse(base), path)
        if found is not None:
            _refuse_circle(*found, (*below, (path, node.name)))


def _is_marked(node: ast.ClassDef | ast.FunctionDef, kind: str, name: str, path: Path) -> bool:
    for mark in _marks(node, kind):
        written = {word.arg: word.value for word in mark.keywords}
        match written.get("name", ast.Constant(path.stem)):
            case ast.Constant(value=named) if named == name:
                return True
    return False


def _marks(node: ast.ClassDef | ast.FunctionDef, kind: str) -> list[ast.Call]:
    found = []
    for mark in node.decorator_list:
        match mark:
            case ast.Call(func=ast.Name(id="component"), args=[ast.Constant(value=said)]):
                found += [mark] if said == kind else []
    return found


def _declared(
    node: ast.ClassDef | ast.FunctionDef, kind: str, path: Path
) -> dict[str, tuple[str, ...]]:
    """What a component's mark declares, and, where that is silent, the marks of its bases."""
    own: dict[str, tuple[str, ...]] = {}
    for mark in _marks(node, kind):
        for word in mark.keywords:
            if word.arg == "name":
                continue
            where = f"{path}:{mark.lineno}: @component({kind!r}, {word.arg}=…)"
            if word.arg not in DECLARED.get(kind, ()):
                raise BadRequest(f"{where}: {choices(str(word.arg), DECLARED.get(kind, ()))}")
            try:
                value = ast.literal_eval(word.value)
            except ValueError:
                raise BadRequest(f"{where}: must be a literal word, or a tuple of them") from None
            own[word.arg] = (value,) if isinstance(value, str) else tuple(value)
    if isinstance(node, ast.ClassDef):
        for base in node.bases:
            found = _class_of(ast.unparse(base), path)
            if found is not None:
                own = {**_declared(found[0], kind, found[1]), **own}
    return own


def _fields(node: ast.ClassDef | ast.FunctionDef, path: Path) -> dict[str, Field]:
    """A component's own fields, then those that it hands on to a base class of this package.

    It does so where its `__init__` ends in `**fields`, or where it has none.
    """
    maker = node if isinstance(node, ast.FunctionDef) else _maker(node)
    own = {} if maker is None else _keywords(maker, path)
    if isinstance(node, ast.ClassDef) and (maker is None or maker.args.kwarg):
        for base in node.bases:
            for name, field in _inherited(ast.unparse(base), path).items():
                own.setdefault(name, field)
    return own


def _maker(node: ast.ClassDef) -> ast.FunctionDef | None:
    inside = (part for part in node.body if isinstance(part, ast.FunctionDef))
    return next((part for part in inside if part.name == "__init__"), None)


def _inherited(base: str, path: Path) -> dict[str, Field]:
    """The fields of a base class."""
    found = _class_of(base, path)
    return {} if found is None else _fields(*found)


def _class_of(name: str, path: Path) -> tuple[ast.ClassDef, Path] | None:
    """A class of the same file, or one imported from another file of this package; and its file."""
    for node in _parse(path).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node, path
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ppr."):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    home = _HOME.parent.joinpath(*str(node.module).split("."))
                    file = home.with_suffix(".py")
                    if file.is_file():
                        return _class_of(alias.name, file)
                    return _defined_below(home, alias.name)  # as `from ppr.losses import …`
    return None


def _defined_below(folder: Path, name: str) -> tuple[ast.ClassDef, Path] | None:
    for file in sorted(folder.rglob("*.py")):
        for node in _parse(file).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return node, file
    return None


def _keywords(maker: ast.FunctionDef, path: Path) -> dict[str, Field]:
    """The keyword-only parameters of a function, as fields."""
    from ppr.fields import type_of

    fields = {}
    for argument, default in zip(maker.args.kwonlyargs, maker.args.kw_defaults, strict=True):
        where = f"{path}:{argument.lineno}: field {argument.arg!r}"
        if argument.annotation is None:
            raise BadRequest(f"{where} has no type")
        try:
            written = ast.unparse(argument.annotation)
            kind = type_of(argument.annotation)
        except (ValueError, TypeError, SyntaxError, RecursionError) as error:
            raise BadRequest(f"{where}: {error}") from None
        try:
            value = REQUIRED if default is None else ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            raise BadRequest(f"{where}: the default must be a literal") from None
        fields[argument.arg] = Field(argument.arg, written, kind, value)
    return fields


def load(kind: str, name: str) -> Callable[..., Any]:
    """Import a component's module and return its class or function."""
    spec = describe(kind, name)
    if spec.path.is_relative_to(_HOME):
        dotted = ".".join(("ppr", *spec.path.relative_to(_HOME).with_suffix("").parts))
        module = importlib.import_module(dotted)
    else:
        module = _import_plugin(spec.path)
    found: Callable[..., Any] = getattr(module, spec.symbol)
    return found


def _import_plugin(path: Path) -> Any:
    """Import a plug-in.

    Raises:
        BadRequest: it raised; says where in it, and the error (--debug shows the traceback).
    """
    try:
        return _import_file(path)
    except (PprError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        own = [frame for frame in traceback.extract_tb(error.__traceback__)
               if Path(frame.filename) == path]  # fmt: skip
        where = f"{path}:{own[-1].lineno}" if own else str(path)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadRequest(f"{where}: raised when it was imported: {said}") from error


def _import_file(path: Path) -> Any:
    """Import a plug-in: as part of its installed package where it has one, else as a lone file."""
    for root in plugin_roots():
        if path.is_relative_to(root):
            parts = (root.name, *path.relative_to(root).with_suffix("").parts)
            return importlib.import_module(".".join(part for part in parts if part != "__init__"))
    alias = f"ppr_plugin_{path.stem}_{abs(hash(path)):x}"
    if alias not in sys.modules:
        spec = importlib.util.spec_from_file_location(alias, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[alias]  # half of it is there
            raise
    return sys.modules[alias]


def make(kind: str, node: Mapping[str, Any], *parts: Any) -> Any:
    """Make the component of a checked config node, `{"name": …, field: …}`."""
    spec = describe(kind, node["name"])
    left = {"name", *(field.name for field in spec.fields.values() if not field.science)}
    fields = {key: value for key, value in node.items() if key not in left}
    return load(kind, node["name"])(*parts, **with_variant(node["name"], fields))


def with_variant(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `family/variant`: its family's, with `variant` among them."""
    variant = {"variant": name.split("/", 1)[1]} if "/" in name else {}
    return {**variant, **fields}
