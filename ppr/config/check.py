"""Check config values against the fields of the component, or the settings, that they are for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ppr.errors import BadRequest, choices
from ppr.registry import Field, Spec
from ppr.urls import without_userinfo


def check_fields(spec: Spec, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values, each of its field's type: 0 is 0.0 where that is a float.

    Unknown or missing fields, wrong types and values out of range are refused. `where` is the
    config path of the component ("loss", "evaluator.linear").

    Raises:
        BadRequest: names the field, the value, what is allowed and what was probably meant.
    """
    for name in values:
        if name not in spec.fields:
            what = f"{spec.kind} {spec.name!r} has no such field"
            raise BadRequest(f"{where}.{name}: {what}; {choices(name, spec.fields)}")
    for field in spec.fields.values():
        if field.required and field.name not in values:
            what = f"{spec.kind} {spec.name!r} needs a value ({field.annotation})"
            raise BadRequest(f"{where}.{field.name}: {what}")
    return {
        name: check_value(spec.fields[name], value, f"{where}.{name}")
        for name, value in values.items()
    }


def check_value(field: Field, value: Any, where: str) -> Any:
    """The value in the field's type; refuse one of another type, or that no record could hold.

    Raises:
        BadRequest: names the field, the value and what is allowed.
    """
    try:
        typed = field.adapter.validate_python(value, strict=True)
    except ValidationError as error:
        said = explain(error)
        number = isinstance(value, int | float) and "string" in said
        remedy = f"""; as text: '{where}="{value}"'""" if number else ""
        raise BadRequest(f"{where}={value!r}: {said}{remedy}") from None
    what = _unfit(value)
    if what is not None:
        none = "; null is none" if "None" in field.annotation else ""
        shown = without_userinfo(repr(value))
        raise BadRequest(f"{where}={shown}: {what} ({field.annotation}){none}")
    return typed


def _unfit(value: Any) -> str | None:
    """What keeps a value out of a record: no end, over 64 bits, a password."""
    match value:
        case Mapping():
            return next(filter(None, map(_unfit, value.values())), None)
        case list():
            return next(filter(None, map(_unfit, value)), None)
        case float() if not math.isfinite(value):
            return "must be finite"
        case str() if without_userinfo(value) != value:
            return "must have no name or password in a URL: a config is written down"
        case int() if not -(2**63) <= value < 2**63:
            return "must be within 64 bits"
    return None


def explain(error: ValidationError) -> str:
    """Pydantic's complaints on one line, as "must be greater than 0 or None"."""
    phrases = dict.fromkeys(
        item["msg"].replace("Input should be ", "").replace("a valid ", "")
        for item in error.errors()
    )
    return "must be " + ", or ".join(phrases)
