"""A component by its name and fields, checked as a config's are."""

from __future__ import annotations

from typing import Any

from ppr.registry import describe, load, with_variant


def build(kind: str, name: str, *parts: Any, **fields: Any) -> Any:
    """Check `fields` against the component's own, import it and make it.

    `ppr.build("loss", "supcon", temperature=0.1)`. `parts` are the positional arguments that the
    runner supplies to components that need them: `ppr.build("model", "resnet", (3, 32, 32))`.

    Raises:
        BadRequest: unknown kind, name or field; a value of the wrong type or out of range.
    """
    from ppr.config.check import check_fields  # pydantic, which `import ppr` need not wait for

    spec = describe(kind, name)
    fields = with_variant(name, fields)
    check_fields(spec, fields, where=kind)
    return load(kind, name)(*parts, **fields)
