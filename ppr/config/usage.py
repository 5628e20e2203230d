"""Which experiments choose which options, read from the experiments' own YAML without composing."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ppr.config.places import config_files

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OVERRIDE = re.compile(r"^override /(\w+)$")


def headline(path: Path) -> str:
    """The first comment of a YAML file, less Hydra's package line: what the file is."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            text = line.lstrip("# ").strip()
            if line.startswith("#") and text and not text.startswith("@package"):
                return text
            if not line.startswith("#"):
                break
    return ""


def read_yaml(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), _LOADER)


@lru_cache(maxsize=1)
def choices_by_experiment() -> dict[str, dict[str, list[str]]]:
    """Experiment -> group -> options, an experiment's parents included."""
    files = config_files("experiment")
    found: dict[str, dict[str, list[str]]] = {}

    def collect(name: str) -> dict[str, list[str]]:
        if name in found or name not in files:
            return found.get(name, {})
        chosen: dict[str, list[str]] = {}
        own: dict[str, list[str]] = {}
        for entry in (read_yaml(files[name]) or {}).get("defaults", []):
            if isinstance(entry, str) and entry != "_self_":
                chosen |= collect(entry)
            elif isinstance(entry, dict):
                for key, option in entry.items():
                    group = _OVERRIDE.match(key)
                    if group:  # null takes the parent's choice away
                        options = option if isinstance(option, list) else [option]
                        own[group[1]] = [o for o in options if o is not None]
        found[name] = {kind: options for kind, options in (chosen | own).items() if options}
        return found[name]

    for experiment in files:
        collect(experiment)
    return found


def component_of(kind: str, option: str) -> str:
    """The component that an option's YAML names; an option without YAML names itself."""
    path = config_files(kind).get(option)
    if path is None:
        return option
    return str((read_yaml(path) or {}).get("name", option)).split("/", 1)[0]


def options_of(kind: str, component: str) -> dict[str, Path]:
    """The YAML options that build a component."""
    return {o: p for o, p in config_files(kind).items() if component_of(kind, o) == component}


def experiments_using(kind: str, component: str) -> list[str]:
    """The experiments that choose a component, through any of its options."""
    options = {*options_of(kind, component), component}
    return [
        name
        for name, chosen in choices_by_experiment().items()
        if options & set(chosen.get(kind, []))
    ]


def papers_using(experiments: list[str]) -> list[str]:
    """The papers whose tables name one of these experiments.

    A cell may build the name from its row and column, so the name is compared with the pattern.
    """
    found = []
    for slug, path in config_files("paper").items():
        text = path.read_text(encoding="utf-8")
        patterns = {
            re.sub(r"\\\$\\\{\w+\\\}", r"\\w+", re.escape(word))
            for word in re.findall(r"experiment=([\w$\{\}]+)", text)
        }
        if any(re.fullmatch(pattern, name) for pattern in patterns for name in experiments):
            found.append(slug)
    return found
