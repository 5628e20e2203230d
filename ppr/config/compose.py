"""Compose a run's config: Hydra chooses and merges the files, ppr applies and checks the values.

Groups (`loss=supcon`) go through Hydra's compose API; single values (`loss.temperature=0.1`) are
read with Hydra's override grammar and applied here, so that an unknown key meets ppr's own check
and not Hydra's advice to add the typo for good. Composing is cached by the choice of groups: a
sweep over values composes once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ppr.config.bodies import option_body
from ppr.config.identity import run_id, variant_id
from ppr.config.places import config_file, config_folders, groups, options
from ppr.config.schema import check_config
from ppr.config.source import PRIMARY
from ppr.errors import BadRequest, choices

_ADDING = {"experiment", "scale", "evaluator"}  # groups whose options add to what is there


@dataclass(frozen=True)
class Config:
    """One run's config: resolved, checked, with every field's default filled in."""

    values: Mapping[str, Any]
    overrides: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]

    @property
    def experiment(self) -> str:
        return str(self.values["experiment"])

    @property
    def seed(self) -> int:
        return int(self.values["seed"])

    @cached_property
    def variant(self) -> str:
        return variant_id(self.values)

    @cached_property
    def run_id(self) -> str:
        return run_id(self.values)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra set up to read its files through `Options`."""
    GlobalHydra.instance().clear()
    try:
        with initialize(config_path=None, version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().clear()


def parse(words: Sequence[str]) -> list[Override]:
    """Hydra's override grammar, its errors on one line."""
    parser = OverridesParser.create()
    parsed = []
    for word in words:
        try:
            parsed.extend(parser.parse_overrides([word]))
        except (OverrideParseException, HydraException) as error:
            reason = " ".join(str(error).split())
            what = "expected key=value, +key=value, ~key or group=option"
            raise BadRequest(f"cannot read {word!r}: {what} ({reason})") from None
    return parsed


def expand(words: Sequence[str]) -> list[list[str]]:
    """A sweep's words as one list of words a run, in the order of the written product."""
    axes: list[list[str]] = []
    for override in parse(words):
        if override.is_sweep_override():
            key = override.input_line.split("=", 1)[0] if override.input_line else ""
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            axes.append([override.input_line or ""])
        if not axes[-1]:
            raise BadRequest(f"{override.input_line}: an empty sweep")
    return [list(point) for point in itertools.product(*axes)]


def compose(words: Sequence[str] = ()) -> Config:
    """Compose, check and complete the config that `words` ask for.

    Raises:
        BadRequest: an unknown group, option or field, a wrong type, a value out of range.
    """
    chosen: list[Override] = []
    values: list[Override] = []
    for override in parse(words):
        if override.is_sweep_override():
            raise BadRequest(f"{override.input_line}: several values need -m (ppr run -m …)")
        (chosen if override.key_or_group in groups() else values).append(override)
    selection = tuple(_group_word(override) for override in chosen)
    composed, sources, experiment = _compose_groups(selection, config_folders())
    config = composed.copy()
    config["experiment"] = experiment
    try:
        for override in values:
            _apply(config, override)
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise BadRequest(_one_line(error)) from None
    assert isinstance(plain, dict)
    checked = check_config({str(key): value for key, value in plain.items()})
    return Config(checked, tuple(words), sources)


def _one_line(error: OmegaConfBaseException) -> str:
    return f"{error.full_key or 'config'}: {str(error).splitlines()[0]}"


def _group_word(override: Override) -> str:
    """Check one `group=option` and spell it as Hydra wants it."""
    group, option = override.key_or_group, override.value()
    if override.is_delete() or option is None or option == "null":
        return f"~{group}"
    for name in option if isinstance(option, list) else [option]:
        if name not in options(group):
            raise BadRequest(
                f"{group}={name}: no such {group}; {choices(str(name), options(group))}"
            )
    return f"{group}=[{','.join(option)}]" if isinstance(option, list) else f"{group}={option}"


@lru_cache(maxsize=512)
def _compose_groups(
    selection: tuple[str, ...], folders: tuple[Path, ...]
) -> tuple[DictConfig, tuple[tuple[str, str], ...], str]:
    """The merged files of a choice of groups, with the file behind each and the experiment's name.

    Where an experiment or a word chooses another option than the experiment that it starts from,
    what that one said of its own (its learning rate, its width) does not apply: the new option
    starts from its own file.
    """
    with _hydra():
        try:
            config = hydra_compose(PRIMARY, overrides=list(selection))
            used = _choices(selection)
            OmegaConf.set_struct(config, False)
            for group, said in _of_the_last_choice(used).items():
                config[group] = None
                if group in used:
                    option = used[group][0].partition("/")[2]
                    alone = ["~experiment", f"{group}={option}"]
                    own = hydra_compose(PRIMARY, overrides=alone)[group]
                    OmegaConf.set_struct(own, False)
                    config[group] = OmegaConf.merge(own, *said)
        except HydraException as error:
            raise BadRequest("config: " + " ".join(str(error).split())) from None
        except OmegaConfBaseException as error:
            raise BadRequest(_one_line(error)) from None
    evaluators = config.get("evaluator") or {}
    for name in [*evaluators]:
        if isinstance(evaluators[name], DictConfig) and "name" not in evaluators[name]:
            del evaluators[name]  # of an evaluator that was not chosen
    files = [("config", "config"), *((g, o) for g in used for o in used[g])]
    sources = tuple((group, str(config_file(option))) for group, option in files)
    named = used.get("experiment", ["experiment/custom"])[-1]
    return config, sources, named.removeprefix("experiment/")


def _of_the_last_choice(used: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
    """Group -> what the experiments say of its last choice, where an earlier one had its say."""
    chosen: dict[str, Any] = {}
    said: dict[str, list[Any]] = {}
    stale = set()

    def choose(group: str, option: Any) -> None:
        if chosen.get(group, option) != option and said.pop(group, []):
            stale.add(group)
        chosen[group] = option

    for name in ("config", *used.get("experiment", ())):
        body = dict(option_body(name))
        for entry in body.pop("defaults", ()):
            for key, option in entry.items() if isinstance(entry, dict) else ():
                choose(key.removeprefix("override ").removeprefix("/"), option)
        for group, own in body.items():
            said.setdefault(group, []).append(own)
    for group in {*chosen} - _ADDING:
        choose(group, used[group][0].partition("/")[2] if group in used else None)
    return {group: said.get(group, []) for group in stale - _ADDING}


def _choices(selection: Sequence[str]) -> dict[str, list[str]]:
    """Group -> the options that Hydra's defaults list takes from it, in order of merging."""
    loader = GlobalHydra.instance().config_loader()
    words = list(selection)
    found: dict[str, list[str]] = {}
    for item in loader.compute_defaults_list(PRIMARY, words, RunMode.RUN).defaults:
        path = item.config_path
        if path and "/" in path and not path.startswith("hydra/"):
            found.setdefault(path.split("/", 1)[0], []).append(path)
    return found


def _apply(config: DictConfig, override: Override) -> None:
    key = override.key_or_group
    if override.package or key.split(".", 1)[0] == "hydra":
        raise BadRequest(f"{override.input_line}: package and hydra overrides are not used here")
    if override.is_delete():
        parent, _, leaf = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if not isinstance(node, DictConfig) or leaf not in node:
            known = list(node) if isinstance(node, DictConfig) else []
            raise BadRequest(f"~{key}: no such key; {choices(leaf, map(str, known))}")
        del node[leaf]
        return
    value = override.value()
    head, _, last = key.rpartition(".")
    node = OmegaConf.select(config, head) if head else None
    if (
        last == "name"
        and isinstance(node, DictConfig)
        and _family(node) != _family({"name": value})
    ):
        OmegaConf.update(config, head, {"name": value}, merge=False)
    OmegaConf.update(config, key, value, force_add=True)


def _family(node: Mapping[str, Any] | DictConfig) -> str:
    return str(node.get("name")).split("/", 1)[0]
