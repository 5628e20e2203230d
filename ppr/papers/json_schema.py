"""The JSON Schema of a paper's file, for editors: that of `Paper`, with the short forms it takes.

Where the file may say a thing in fewer words than the model has (a row's `SupCon: supcon`, a bare
reported number, universes as a list), the file's form is written here, and a test holds every
committed paper against it.
"""

from __future__ import annotations

from typing import Any

from ppr.config.json_schema import DIALECT
from ppr.papers.reported import READING
from ppr.papers.schema import Paper
from ppr.papers.universe_schema import DEFAULTS

_REASON = {"type": "string", "pattern": r"^not:\s*\S"}


def paper_schema() -> dict[str, Any]:
    """What may stand in configs/paper/<family>/<slug>.yaml."""
    schema = Paper.model_json_schema()
    parts = schema["$defs"]
    del schema["properties"]["slug"]  # is the file's name
    schema["required"].remove("slug")
    parts["Entry"] = {"anyOf": [{"type": ["string", "number", "boolean"]}, parts["Entry"]]}
    parts["Universes"] = _universes(parts["Universes"])
    parts["Reported"] = _reported(parts["Reported"], parts["Value"]["properties"])
    table = parts["Table"]
    table["properties"]["settings"]["enum"].remove("tuned")  # follows from `tune`
    return {"$schema": DIALECT} | schema | {"title": "A paper of ppr"}


def _universes(model: dict[str, Any]) -> dict[str, Any]:
    off = {name: {"type": "string", "description": asks} for name, asks in DEFAULTS.items()}
    return {
        "title": model["title"],
        "description": 'Name: the words of a universe, or `default: "not: why"`; a list of the '
        "defaults taken; or `not: why` there is none.",
        "anyOf": [
            {
                "type": "object",
                "properties": {name: said | _REASON for name, said in off.items()},
                "additionalProperties": {"type": "string", "pattern": "[=~]"},
            },
            {"type": "array", "items": {"enum": [*DEFAULTS]}},
            _REASON,
        ],
    }


def _reported(model: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Rows stand beside the keys of the whole; what is said of reading, in the whole or a row."""
    own = {key: said for key, said in model["properties"].items() if key != "values"}
    reading = {key: value[key] for key in READING}
    row = {
        "type": "object",
        "properties": reading,
        "additionalProperties": {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/Value"}]},
    }
    whole = {**reading, **own}
    return model | {"properties": whole, "additionalProperties": row}
