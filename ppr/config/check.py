"""Check config values against the fields of the component, or the settings, that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ppr.errors import BadRequest, choices
from ppr.registry import Field, Spec


def check_fields(spec: Spec, values: Mapping[str, Any], where: str) -> None:
    """Refuse unknown or missing fields, wrong types and values out of range.

    `where` is the config path of the component ("loss", "evaluator.linear").

    Raises:
        BadRequest: names the field, the value, what is allowed and what was probably meant.
    """
    for name in values:
        if name not in spec.fields:
            what = f"{spec.kind} {spec.name!r} has no such field"
            raise BadRequest(f"{where}.{name}: {what}; {choices(name, spec.fields)}")
    for field in spec.fields.values():
        if field.name in values:
            check_value(field, values[field.name], f"{where}.{field.name}")
        elif field.required:
            what = f"{spec.kind} {spec.name!r} needs a value ({field.annotation})"
            raise BadRequest(f"{where}.{field.name}: {what}")


def check_value(field: Field, value: Any, where: str) -> None:
    try:
        field.adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise BadRequest(f"{where}={value!r}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """Pydantic's complaints on one line, as "must be greater than 0 or None"."""
    phrases = dict.fromkeys(
        item["msg"].replace("Input should be ", "").replace("a valid ", "")
        for item in error.errors()
    )
    return "must be " + ", or ".join(phrases)
