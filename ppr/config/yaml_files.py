"""The one reader of YAML: options, experiments, papers, the configs of finished runs.

Safe, and stricter than YAML 1.1: UTF-8 (a byte order mark is passed over), a mapping at the top, no
key twice, keys as they are written, no tags, and as many nodes, aliases counted each time, as a
person could have meant. Numbers and words are read as on the command line: `1e-3` is a number, and
`010`, `1:30`, `yes`, `off` and `2024-01-01` are text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ppr.errors import BadRequest

# libyaml's parser, where PyYAML was built with it, is ten times as fast.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_NODES = 100_000
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(?:0|[1-9](?:_?[0-9])*)\Z")
_FLOAT = re.compile(
    r"""[-+]?(?:(?:0|[1-9](?:_?[0-9])*)\.|(?:0|[1-9](?:_?[0-9])*)?\.[0-9](?:_?[0-9])*)
             (?:[eE][-+]?[0-9](?:_?[0-9])*)?\Z
      | [-+]?(?:0|[1-9](?:_?[0-9])*)[eE][-+]?[0-9](?:_?[0-9])*\Z
      | [-+]?\.(?:inf|Inf|INF)\Z | \.(?:nan|NaN|NAN)\Z""",
    re.VERBOSE,
)


class _Fault(Exception):
    """What is wrong with a file, and at which of its lines, counted from 1."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


class _Loader(_SafeLoader):  # type: ignore[misc, valid-type]
    yaml_implicit_resolvers: ClassVar[dict[str | None, list[Any]]] = {}
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}


for _name, _pattern, _starts in (
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), [*"tTfF"]),
    ("int", _INT, [*"+-0123456789"]),
    ("float", _FLOAT, [*"+-.0123456789"]),
    ("merge", re.compile(r"<<\Z"), ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, _starts)


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise _Fault("a key must be a word", line)
        if key.value in seen:
            raise _Fault(f"{key.value!r} stands there twice", line)
        seen.add(key.value)
    loader.flatten_mapping(node)
    return {key.value: loader.construct_object(value, deep=True) for key, value in node.value}


def _sequence(loader: Any, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _unknown(loader: Any, node: yaml.Node) -> Any:
    del loader
    raise _Fault(f"the tag {node.tag!r} means nothing here", node.start_mark.line + 1)


_Loader.add_constructor(f"{_TAG}map", _mapping)
_Loader.add_constructor(f"{_TAG}seq", _sequence)
for _name in ("null", "bool", "int", "float", "str"):
    _Loader.add_constructor(_TAG + _name, getattr(yaml.SafeLoader, f"construct_yaml_{_name}"))
_Loader.add_constructor(None, _unknown)


class Written(float):
    """A number with the digits that it was written in: 97.50 is known to the second decimal."""

    text: str

    def __new__(cls, text: str) -> Written:
        written = super().__new__(cls, text)
        written.text = text
        return written

    @property
    def half_unit(self) -> float:
        """Half a unit of the last digit that was written: of 97.50 it is 0.005, of 24e3 500."""
        return 0.5 * 10.0**self._exponent

    @property
    def decimals(self) -> int:
        return max(0, -self._exponent)

    @property
    def _exponent(self) -> int:
        return int(Decimal(self.text).as_tuple().exponent)


def _written(loader: Any, node: yaml.ScalarNode) -> float:
    value = yaml.SafeLoader.construct_yaml_float(loader, node)
    return Written(node.value) if math.isfinite(value) else value


class _WrittenLoader(_Loader):
    yaml_constructors: ClassVar[dict[str | None, Any]] = dict(_Loader.yaml_constructors)


_WrittenLoader.add_constructor(f"{_TAG}float", _written)


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or this reader would not read as text."""


_Dumper.add_implicit_resolver(f"{_TAG}float", _FLOAT, [*"+-.0123456789"])


def dump_yaml(values: Mapping[str, Any]) -> str:
    """YAML that reads back as these values, here and with any other reader."""
    text: str = yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False)
    return text


def read_yaml(path: Path, *, written: bool = False) -> dict[str, Any]:
    """What a file says; with `written`, each number with a point or an exponent is a `Written`.

    Raises:
        BadRequest: one line, `file:line: reason`; it is not UTF-8, not YAML, or no mapping.
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file():  # to open a pipe would wait for its other end
        raise BadRequest(f"{path}: is no file")
    return parse_yaml(path.read_bytes(), path, written=written)


def parse_yaml(content: bytes, path: Path, *, written: bool = False) -> dict[str, Any]:
    """As `read_yaml`, of what has been read of the file at `path`."""
    try:
        return _parse(content, _WrittenLoader if written else _Loader)
    except _Fault as fault:
        where = path if fault.line is None else f"{path}:{fault.line}"
        raise BadRequest(f"{where}: {fault}") from None


def _parse(content: bytes, kind: type[_Loader]) -> dict[str, Any]:
    loader = kind(decode(content))
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise _Fault("is empty" if node is None else "must be a mapping, `key: value` a line")
        _size(node, {}, set())
        found: dict[str, Any] = loader.construct_document(node)
        return found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(str(error.problem or error.context).split())
        raise _Fault(f"not YAML: {said}", mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:
        raise _Fault(f"not YAML: {' '.join(str(error).split())}") from None
    except (ValueError, OverflowError) as error:  # `!!int x`
        raise _Fault(f"not YAML: {error}") from None
    except RecursionError:
        raise _Fault("is nested too deeply") from None
    finally:
        loader.dispose()


def decode(content: bytes) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Fault(
            f"not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8", line
        ) from None


def _size(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """The nodes below and with this one, an alias counted as often as it is used."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise _Fault("an alias goes round in a circle", node.start_mark.line + 1)
    if id(node) not in known:
        above.add(id(node))
        parts = (
            node.value
            if isinstance(node, yaml.SequenceNode)
            else [part for pair in node.value for part in pair]
        )
        known[id(node)] = 1 + sum(_size(part, known, above) for part in parts)
        above.discard(id(node))
        if known[id(node)] > _MOST_NODES:
            raise _Fault(f"comes to more than {_MOST_NODES:,} values", node.start_mark.line + 1)
    return known[id(node)]
