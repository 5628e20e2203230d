"""Which experiments choose which options, read from the experiments' own YAML without composing."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ppr.config.bodies import lineage, option_body
from ppr.config.places import config_files, config_folders
from ppr.errors import BadRequest

_FOR_PROGRAMS = ("@package", "yaml-language-server:")
"""Lines for Hydra, and for editors."""


def headline(path: Path) -> str:
    """The first comment of a YAML file that is for no program: what the file is."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            text = line.lstrip("# ").strip()
            if line.startswith("#") and text and not text.startswith(_FOR_PROGRAMS):
                return text
            if not line.startswith("#"):
                break
    return ""


def choices_by_experiment() -> dict[str, dict[str, list[str]]]:
    """Experiment -> group -> options, its parents' included; of a wrong one none."""
    return _choices(config_folders())


@lru_cache(maxsize=4)
def _choices(folders: tuple[Path, ...]) -> dict[str, dict[str, list[str]]]:
    """Of the folders of configs that there are now: a plug-in may bring another."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in config_files("experiment"):
        try:
            found[name] = lineage(name)
        except BadRequest:  # `ppr check` says what it is
            found[name] = {}
    return found


def component_of(kind: str, option: str) -> str:
    """The component that an option's YAML names; an option without YAML names itself."""
    path = config_files(kind).get(option)
    if path is None:
        return option
    return str(option_body(f"{kind}/{option}").get("name", option)).split("/", 1)[0]


def options_of(kind: str, component: str) -> dict[str, Path]:
    """The YAML options that build a component; a file that is wrong builds none."""
    found = {}
    for option, path in config_files(kind).items():
        try:
            named = str(option_body(f"{kind}/{option}").get("name", option)).split("/", 1)[0]
        except BadRequest:
            continue
        if named == component:
            found[option] = path
    return found


def experiments_using(kind: str, component: str) -> list[str]:
    """The experiments that choose a component, through any of its options."""
    options = {*options_of(kind, component), component}
    return [
        name
        for name, chosen in choices_by_experiment().items()
        if options & set(chosen.get(kind, []))
    ]
