"""What the files of options say, and what an experiment's file makes of others, without Hydra."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ppr.config.places import config_file, groups, options
from ppr.config.yaml_files import read_yaml
from ppr.errors import BadRequest, choices

WHOLE = {"experiment", "scale"}
"""Groups whose files are merged at the top of the config."""

RESOLVER = re.compile(r"\$\{[^{}$]*:")
"""`${oc.env:HOME}`, `${now:%Y}`: a config that read them would not be data."""

_OVERRIDE = re.compile(r"override /(\w+)\Z")


def option_body(option: str) -> Mapping[str, Any]:
    """What an option's file says, checked as far as that can be done before it is merged.

    Raises:
        BadRequest: `file: reason`.
    """
    file = config_file(option)
    if file.suffix != ".yaml":  # a component without a file of its own
        return {"name": option.partition("/")[2]}
    found = file.stat()
    return _body(option.partition("/")[0], file, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4096)
def _body(group: str, file: Path, *_: int) -> Mapping[str, Any]:
    body = read_yaml(file)
    where = resolver_call(body, "")
    if where is not None:
        raise BadRequest(f"{file}: {where}: config is data; a reference is ${{group.field}}")
    if group in WHOLE:
        _check_whole(group, file, body)
    return body


def _check_whole(group: str, file: Path, body: Mapping[str, Any]) -> None:
    """An experiment is what is merged over other experiments: its keys are those of a config."""
    for key in ("experiment", "hydra"):
        if key in body:
            raise BadRequest(f"{file}: {key}: is not set in a file; the file's name names it"
                             if key == group else f"{file}: {key}: is not used here")  # fmt: skip
    for key in (*groups(), "engine", "data", "results", "inputs"):
        value = body.get(key)
        if key != "scale" and value is not None and not isinstance(value, Mapping):
            raise BadRequest(f"{file}: {key}={value!r}: must be a group of keys")
    listed = body.get("defaults", [])
    if not isinstance(listed, list):
        raise BadRequest(f"{file}: defaults: must be a list, of experiments and `override /…: …`")
    for entry in listed:
        if isinstance(entry, str):
            continue
        key = next(iter(entry)) if isinstance(entry, dict) and len(entry) == 1 else ""
        if not _OVERRIDE.match(key):
            shown = f"defaults: {entry!r}: must be an experiment or `override /group: option`"
            raise BadRequest(f"{file}: {shown}")
        for name in entry[key] if isinstance(entry[key], list) else [entry[key]]:
            if name is not None and not isinstance(name, str):
                raise BadRequest(f"{file}: defaults: {key}: {name!r} is no name; quote it")


def defaults(option: str) -> tuple[list[str], dict[str, list[str]]]:
    """The experiments that an experiment starts from, and group -> the options that it chooses."""
    parents, chosen = [], {}
    for entry in option_body(option).get("defaults", []):
        if isinstance(entry, dict):
            for key, said in entry.items():
                named = said if isinstance(said, list) else [said]
                chosen[_OVERRIDE.sub(r"\1", key)] = [name for name in named if name is not None]
        elif entry != "_self_":
            parents.append(entry)
    return parents, chosen


def lineage(name: str, below: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Group -> options that an experiment and those that it starts from choose.

    Raises:
        BadRequest: it starts from itself, or names what is not there.
    """
    file = config_file(f"experiment/{name}")
    if name in below:
        path = " → ".join([*below[below.index(name) :], name])
        raise BadRequest(f"{file}: defaults: {path} goes round in a circle")
    parents, own = defaults(f"experiment/{name}")
    found: dict[str, list[str]] = {}
    for parent in parents:
        if parent not in options("experiment"):
            near = choices(parent, options("experiment"))
            raise BadRequest(f"{file}: defaults: {parent}: no such experiment; {near}")
        found |= lineage(parent, (*below, name))
    for group, chosen in own.items():
        if group not in groups():
            raise BadRequest(
                f"{file}: defaults: {group}: no such group; {choices(group, groups())}"
            )
        for option in chosen:
            if option not in options(group):
                near = choices(option, options(group))
                raise BadRequest(f"{file}: defaults: {group}: {option}: no such {group}; {near}")
    return {group: chosen for group, chosen in (found | own).items() if chosen}


def resolver_call(node: Any, where: str) -> str | None:
    """The place of the first text that calls a resolver."""
    if isinstance(node, str):
        return f"{where}={node!r}" if RESOLVER.search(node) else None
    parts: Iterator[tuple[str, Any]]
    if isinstance(node, Mapping):
        parts = ((f"{where}.{key}" if where else key, part) for key, part in node.items())
    elif isinstance(node, list):
        parts = ((where, part) for part in node)
    else:
        return None
    return next((found for at, part in parts if (found := resolver_call(part, at))), None)
