"""The sections of a run's config, checked and completed with the defaults of the code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppr import registry
from ppr.config.check import check_fields, check_value
from ppr.config.fit import check_fit
from ppr.config.settings import MACHINE_FIELDS, engine_fields
from ppr.errors import BadRequest, choices
from ppr.fields import Count, Literal
from ppr.paths import expanded
from ppr.registry import Field, Spec

SCALES = ("smoke", "desk", "paper")

SECTIONS = {
    "data": {
        "root": Field("root", "str | None", str | None, None),
        "synthetic": Field("synthetic", "Count | None", Count | None, None),
    },
    "results": {"root": Field("root", "str | None", str | None, None)},
}
SCALARS = {
    "experiment": Field("experiment", "str", str, "custom"),
    "scale": Field("scale", "str", Literal[SCALES], "desk"),
    "seed": Field("seed", "int", int, 0),
    "inputs": Field("inputs", "dict[str, str]", dict[str, str], {}),
}


def check_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Check every section of a composed config and fill in what it leaves to the code.

    Raises:
        BadRequest: names the key, what is allowed and what was probably meant.
    """
    refuse_targets(values)
    known = {*registry.KINDS, *SECTIONS, *SCALARS, "engine"}
    for key in values:
        if key not in known:
            raise BadRequest(f"{key}={values[key]}: no such key; {choices(key, known)}")
    checked: dict[str, Any] = {}
    for name, field in SCALARS.items():
        checked[name] = values.get(name, field.default)
        if name == "inputs" and isinstance(checked[name], Mapping):
            # null takes away what the parent experiment starts from
            checked[name] = {k: path for k, path in checked[name].items() if path is not None}
        checked[name] = check_value(field, checked[name], name)
    for kind in registry.KINDS:
        node = values.get(kind)
        if kind == "evaluator":
            named = node or {}
            if not isinstance(named, Mapping):
                raise BadRequest(f"evaluator={named!r}: must be a group of keys, an evaluator each")
            checked[kind] = {
                name: _component(kind, named[name], f"{kind}.{name}") for name in named
            }
        else:
            checked[kind] = _component(kind, node, kind) if node else None
    if checked["task"] is None:
        raise BadRequest(f"task: none chosen; {choices('', registry.names('task'))}")
    checked["engine"] = _section("engine", values.get("engine"), engine_fields())
    for name, fields in SECTIONS.items():
        checked[name] = _section(name, values.get(name), fields)
    checked |= _left_away(checked)
    check_fit(checked)
    if checked["dataset"]:
        checked["dataset"] |= _found(checked["dataset"], checked["data"]["root"])
    return checked


def _left_away(checked: Mapping[str, Any]) -> dict[str, Any]:
    """What a task makes no use of, if it says what it takes: nothing, and the engine's defaults."""
    takes = registry.describe("task", checked["task"]["name"]).declared.get("takes")
    if takes is None:
        return {}
    unused = {*registry.KINDS} - {"task", *takes, *registry.MACHINE_KINDS}
    defaults = {name: field.default for name, field in engine_fields().items()}
    machine = {name: checked["engine"][name] for name in MACHINE_FIELDS}
    return {**dict.fromkeys(unused), "engine": defaults | machine}


def _found(node: Mapping[str, Any], root: str | None) -> dict[str, str]:
    """What identifies a data set that has no name but where it lies: a digest of its contents."""
    spec = registry.describe("dataset", node["name"])
    for name in spec.declared.get("finds", ()):
        if node[name] is None:
            where = expanded(root, "data.root") if root else None
            return {name: registry.make("dataset", node, where).digest()}
    return {}


def _component(kind: str, node: Any, where: str) -> dict[str, Any]:
    if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
        keys = ", ".join(f"{where}.{key}" for key in node) if isinstance(node, Mapping) else where
        raise BadRequest(f"{keys}: this experiment has no {kind}; choose one with {kind}=…")
    spec = registry.describe(kind, node["name"])
    fields = {str(key): value for key, value in node.items() if key != "name"}
    typed = check_fields(spec, registry.with_variant(node["name"], fields), where)
    defaults = {f.name: f.default for f in spec.fields.values() if not f.required}
    return {"name": node["name"], **defaults, **{key: typed[key] for key in fields}}


def _section(name: str, node: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    given = node or {}
    if not isinstance(given, Mapping):
        raise BadRequest(f"{name}={given!r}: must be a group of keys; {choices('', fields)}")
    typed = check_fields(Spec("section", name, Path(), "", "", fields), given, name)
    return {**{field.name: field.default for field in fields.values()}, **typed}


def refuse_targets(node: Any, where: str = "") -> None:
    """Config is data: nothing in it may name a Python object to call."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if str(key).startswith("_") and str(key).endswith("_"):
                raise BadRequest(f"{where}{key}: config is data; name a component with `name:`")
            refuse_targets(value, f"{where}{key}.")
    elif isinstance(node, list):
        for item in node:
            refuse_targets(item, where)
