"""A run's id: a hash of all in its config that can change the numbers, and of nothing else.

The hash covers what differs from the code's own defaults. So a config that spells a default out and
one that leaves it away are the same run; a component that gains a field with a neutral default
keeps its runs; and a default that is changed in the code changes the id of what was recorded under
the old one, which `ppr verify` then finds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from ppr import registry
from ppr.config.settings import MACHINE_FIELDS, engine_fields
from ppr.errors import BadRequest

_LENGTH = 10


def science(values: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, Any]:
    """The part of a config that can change the numbers, less the seed, defaults left away.

    `inputs`: by name, the ids of the runs that it starts from.
    """
    found: dict[str, Any] = {}
    for kind in registry.KINDS:
        node = values.get(kind)
        if not node or kind in registry.MACHINE_KINDS:
            continue
        if kind == "evaluator":
            found[kind] = {name: _reduced(kind, sub) for name, sub in node.items()}
        else:
            found[kind] = _reduced(kind, node)
    engine = {key: value for key, value in values["engine"].items() if key not in MACHINE_FIELDS}
    found["engine"] = {
        key: value for key, value in engine.items() if value != engine_fields()[key].default
    }
    if values["data"]["synthetic"] is not None:
        found["synthetic"] = values["data"]["synthetic"]
    if inputs:
        found["inputs"] = dict(inputs)
    return found


def _reduced(kind: str, node: Mapping[str, Any]) -> dict[str, Any]:
    fields = registry.describe(kind, node["name"]).fields
    return {
        key: value
        for key, value in node.items()
        if key == "name"
        or key not in fields
        or (fields[key].science and value != fields[key].default)
    }


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded config with each default of today's code that the record leaves away.

    A part whose component is not here any more stays as it was recorded.
    """
    found = dict(values)
    for kind in registry.KINDS:
        node = values.get(kind)
        if kind == "evaluator" and isinstance(node, Mapping):
            found[kind] = {name: _filled(kind, sub) for name, sub in node.items()}
        elif isinstance(node, Mapping):
            found[kind] = _filled(kind, node)
    engine = {name: field.default for name, field in engine_fields().items()}
    return found | {"engine": engine | dict(values.get("engine") or {})}


def _filled(kind: str, node: Any) -> Any:
    try:
        fields = registry.describe(kind, node["name"]).fields
    except (BadRequest, KeyError, TypeError):
        return node
    defaults = {name: f.default for name, f in fields.items() if not f.required}
    return {"name": node["name"], **defaults, **node}


def is_science(key: str) -> bool:
    """Whether a dotted key of a config is of the part that `science` takes."""
    group, _, name = key.partition(".")
    if group == "engine":
        return name not in MACHINE_FIELDS
    if group == "evaluator" and name.endswith(f".{registry.KEEP.name}"):
        return registry.KEEP.science
    return (
        key == "data.synthetic"
        or group == "inputs"
        or group in {*registry.KINDS} - registry.MACHINE_KINDS
    )


def _digest(content: Any) -> str:
    text = json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _canonical(value: Any) -> Any:
    """1.0 and 1 are one number, whatever the YAML said."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def ids(values: Mapping[str, Any], inputs: Mapping[str, str]) -> tuple[str, Callable[[int], str]]:
    """The variant's id and, by seed, the ids of its runs."""
    found = science(values, inputs)
    return _digest(found), lambda seed: _digest([found, seed])
