"""A component by its name and fields, checked as a config's are."""

from __future__ import annotations

from typing import Any

from ppr.registry import check_kind, describe, load, names, with_variant


def build(kind: str, name: str, *parts: Any, **fields: Any) -> Any:
    """Check `fields` against the component's own, import it and make it.

    `ppr.build("loss", "supcon", temperature=0.1)`. `parts` are the positional arguments that the
    runner supplies to components that need them: `ppr.build("model", "resnet", (3, 32, 32))`. The
    name of a config that is no component's, as `binary_focal`, stands for what its file names, and
    with which fields.

    Raises:
        BadRequest: unknown kind, name or field; a value of the wrong type or out of range.
    """
    from ppr.config.bodies import option_body
    from ppr.config.check import check_fields  # pydantic, which `import ppr` need not wait for
    from ppr.config.places import config_files

    if name not in names(check_kind(kind)) and name in config_files(kind):
        of_file = dict(option_body(f"{kind}/{name}"))
        name, fields = of_file.pop("name"), {**of_file, **fields}
    spec = describe(kind, name)
    fields = with_variant(name, fields)
    return load(kind, name)(*parts, **check_fields(spec, fields, where=kind))
