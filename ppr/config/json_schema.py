"""The JSON Schema of an experiment's file, for editors: made of the registry and the options.

A schema knows one file, and an experiment may take its loss from a parent: so a field is known if
some component of the kind has it, and its description says which. `ppr check` knows the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppr import registry
from ppr.config.places import groups, options
from ppr.config.schema import SCALARS, SECTIONS
from ppr.config.settings import engine_fields
from ppr.registry import Field

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": r"\$\{"}
"""`${group.field}`, which may stand for any value."""


def experiment_schema() -> dict[str, Any]:
    """What may stand in configs/experiment/<name>.yaml."""
    sections = {"engine": engine_fields(), **SECTIONS}
    return {
        "$schema": DIALECT,
        "title": "An experiment of ppr",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "defaults": _defaults(),
            **{name: _anyway(field) for name, field in SCALARS.items() if name != "experiment"},
            "inputs": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
            **{name: _section(_described(fields, name)) for name, fields in sections.items()},
            **{kind: _component(kind) for kind in registry.KINDS if kind != "evaluator"},
            "evaluator": _evaluators(),
        },
    }


def _defaults() -> dict[str, Any]:
    chosen = {}
    for group in groups():
        if group != "experiment":
            one = {"enum": [*options(group), None]}
            several = {"type": "array", "items": {"enum": list(options(group))}}
            chosen[f"override /{group}"] = several if group == "evaluator" else one
    override = {
        "type": "object",
        "properties": chosen,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {
        "description": "Experiments that it starts from, `_self_`, and `override /group: option`. "
        "What is your own is known after `ppr --plugin DIR schema`.",
        "type": "array",
        "items": {"anyOf": [{"enum": [*options("experiment"), "_self_"]}, override]},
    }


def _evaluators() -> dict[str, Any]:
    """Each lies below its component's name, or one of its own (`@package evaluator.measured`)."""
    named = {name: _component("evaluator", [name]) for name in registry.names("evaluator")}
    return _section(named) | {"additionalProperties": _component("evaluator")}


def _component(kind: str, names: Iterable[str] | None = None) -> dict[str, Any]:
    """A group's keys: those of every component of the kind, or of those named."""
    found: dict[str, list[tuple[str, Field]]] = {}
    for name in registry.names(kind) if names is None else names:
        for field in registry.describe(kind, name).fields.values():
            found.setdefault(field.name, []).append((name, field))
    properties = {key: _any_of(kind, fields) for key, fields in sorted(found.items())}
    section = _section({"name": {"type": "string"}, **properties})
    return section | {"type": ["object", "null"]}


def _any_of(kind: str, fields: list[tuple[str, Field]]) -> dict[str, Any]:
    schemas = [_REFERENCE]
    for _, field in fields:
        schema = field.adapter.json_schema()
        if schema not in schemas:
            schemas.append(schema)
    said: dict[str, list[str]] = {}
    for name, field in fields:
        said.setdefault(_told(field), []).append(name)
    lines = (f"{told} ({kind} {', '.join(names)})" for told, names in said.items())
    return {"description": "; ".join(lines), "anyOf": schemas}


def _described(fields: Mapping[str, Field], where: str) -> dict[str, Any]:
    return {
        name: _anyway(field) | {"description": f"{where}.{name}: {_told(field)}"}
        for name, field in fields.items()
    }


def _anyway(field: Field) -> dict[str, Any]:
    return {"anyOf": [_REFERENCE, field.adapter.json_schema()]}


def _told(field: Field) -> str:
    return field.annotation if field.required else f"{field.annotation} = {field.default!r}"


def _section(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}
