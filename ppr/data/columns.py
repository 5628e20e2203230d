"""Which columns of a Parquet file hold the image and its class, and what the classes are called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.errors import BadRequest, RunFailed, choices

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = ("label", "labels", "class", "target", "category", "fine_label", "y")
"""Names of a column of classes, the likeliest first, where the file does not say which it is."""


def read_schema(file: Path) -> Any:
    """
    Raises:
        RunFailed: the file is torn, or none of Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(file)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise RunFailed(f"{file}: not a whole Parquet file: {reason}") from None


def columns(
    schema: pa.Schema, where: str, image: str | None = None, label: str | None = None
) -> tuple[str, str]:
    """The columns of the image and of its class: those named, or found by their types.

    Raises:
        BadRequest: there is no such column, or several could be meant.
    """
    described = _features(schema)
    pictures = [name for name in schema.names if _is_image(schema.field(name), described)]
    image = _one("image", image, pictures, schema.names, where)
    classes = [n for n, f in described.items() if _type(f) == "ClassLabel" and n in schema.names]
    others = [name for name in schema.names if name != image and _may_name(schema.field(name).type)]
    named = [name for name in LABELS if name in others][:1]
    label = _one("label", label, classes or named or others, schema.names, where)
    return image, label


def class_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """What the file calls its class numbers; None where it says nothing of it."""
    names = _features(schema).get(label, {}).get("names")
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def as_text(values: Sequence[Any], names: tuple[str, ...] | None, where: str) -> list[str]:
    """The name of each row's class; numbers without names stay numbers.

    Raises:
        RunFailed: the first row that has none, or a number beyond the names.
    """
    found = []
    for row, value in enumerate(values):
        if value is None or value == "":
            raise RunFailed(f"{where}: row {row} has no class")
        if names is not None and isinstance(value, int):
            if not 0 <= value < len(names):
                raise RunFailed(f"{where}: row {row} is of class {value}; 0 to {len(names) - 1}")
            found.append(names[value])
        else:
            found.append(str(value))
    return found


def in_order(labels: set[str], names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Classes as the file numbers them, else numbers by size and words by the alphabet."""
    if names is not None and labels <= set(names):
        return names
    if all(label.lstrip("-").isdigit() for label in labels):
        return tuple(sorted(labels, key=int))
    return tuple(sorted(labels))


def _one(
    field: str, asked: str | None, found: Sequence[str], there: Sequence[str], where: str
) -> str:
    if asked is not None:
        if asked not in there:
            known = choices(asked, there)
            raise BadRequest(f"dataset.{field}={asked}: no such column in {where}; {known}")
        return asked
    if len(found) == 1:
        return found[0]
    why = f"{', '.join(found)} could be it" if found else "none is of its kind"
    raise BadRequest(
        f"dataset.{field}: which column of {where}? {why}; there are {', '.join(there)}"
    )


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What Hugging Face `datasets` wrote of each column."""
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        found = said["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _type(feature: Any) -> str:
    return str(feature.get("_type")) if isinstance(feature, dict) else ""


def _is_image(field: pa.Field, described: dict[str, Any]) -> bool:
    import pyarrow as pa

    kind = field.type
    if _type(described.get(field.name)) == "Image" or pa.types.is_binary(kind):
        return True
    return pa.types.is_struct(kind) and "bytes" in [part.name for part in kind]


def _may_name(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_boolean(kind)
    )
