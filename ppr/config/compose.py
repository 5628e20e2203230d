"""Compose a run's config: Hydra chooses and merges the files, ppr applies and checks the values.

Groups (`loss=supcon`) go through Hydra's compose API; single values (`loss.temperature=0.1`) are
read with Hydra's override grammar and applied here, so that an unknown key meets ppr's own check
and not Hydra's advice to add the typo for good. Composing is cached by the choice of groups: a
sweep over values composes once.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ppr import registry
from ppr.config.bodies import option_body, resolver_call
from ppr.config.composed import Config
from ppr.config.inputs import at_place_of, followed, input_words, whole
from ppr.config.overrides import option_text, parse
from ppr.config.places import config_file, config_folders, groups, options
from ppr.config.schema import SCALES, check_config
from ppr.config.source import PRIMARY
from ppr.errors import BadRequest, choices

_ADDING = {"experiment", "scale", "evaluator"}  # groups whose options add to what is there
_PROTOCOL = ("noise", "noise_seed", "noise_to", "limit", "imbalance", "tail_seed", "validation",
             "split_seed")  # fmt: skip
"""What is done to a data set, whichever it is: fields of their common base."""
_LISTED = {"evaluator"}  # groups of which several options, or none, are chosen


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra set up to read its files through `Options`."""
    GlobalHydra.instance().clear()
    try:
        with initialize(config_path=None, version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().clear()


def compose(words: Sequence[str] = ()) -> Config:
    """Compose, check and complete the config that `words` ask for, and those of its inputs.

    Raises:
        BadRequest: an unknown group, option or field, a wrong type, a value out of range; or an
            input that needs, through others, itself.
    """
    return _compose(words, ())


def recorded(values: Mapping[str, Any]) -> Config:
    """A config as it was recorded, with its inputs as their words ask for them today."""
    inputs = {name: _input(values, name, ()) for name in values["inputs"]}
    return Config(values, (), (), inputs)


class _Cycle(BadRequest):
    """Names its path, which needs no name of an input before it."""


def _compose(words: Sequence[str], asked: tuple[str, ...]) -> Config:
    """`asked`: the words of the inputs on the way to this run."""
    chosen: list[Override] = []
    values: list[Override] = []
    for override in parse(words):
        if override.is_sweep_override():
            said = f"{override.input_line}: several values need -m (ppr run -m …)"
            if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP:
                quoted = f"""'{override.key_or_group}="…"'"""
                said += f"; one value with a comma in it is quoted twice: {quoted}"
            raise BadRequest(said)
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
    given = {override.key_or_group for override in values}
    inputs = _inputs(checked, selection, given, asked) if checked["inputs"] else {}
    return Config(checked, tuple(words), sources, inputs)


def _inputs(
    values: dict[str, Any],
    selection: tuple[str, ...],
    given: Container[str],
    asked: tuple[str, ...],
) -> dict[str, Config]:
    """The configs of a run's inputs, on the data set that words chose for the run.

    An input that is itself given by a word, one of `given`, stays as it is said.
    """
    found = {name: _input(values, name, asked) for name in values["inputs"]}
    if not values["dataset"] or "inputs" in given:
        return found
    alone = tuple(word for word in selection if word.startswith("experiment="))
    own = _compose_groups(alone, config_folders())[0].get("dataset")
    if whole(own) in (None, whole(values["dataset"])):
        return found
    for name, said in values["inputs"].items():
        if f"inputs.{name}" in given:
            continue
        now = followed(said, found[name]["dataset"], own, values["dataset"], selection)
        if now != said:
            values["inputs"] = {**values["inputs"], name: now}
            found[name] = _input(values, name, asked)
    return found


def _input(values: Mapping[str, Any], name: str, asked: tuple[str, ...]) -> Config:
    words = input_words(values, name)
    said = " ".join(words)
    if said in asked:
        path = " → ".join([*asked[asked.index(said) :], said])
        raise _Cycle(f"inputs.{name}: a cycle: {path}")
    try:
        return _placed(_compose(words, (*asked, said)), values)
    except _Cycle:
        raise
    except BadRequest as error:
        raise BadRequest(f"inputs.{name}: {error}") from None


def _placed(config: Config, asking: Mapping[str, Any]) -> Config:
    own = at_place_of(config.values, asking)
    inputs = {name: _placed(each, own) for name, each in config.inputs.items()}
    return replace(config, values=own, inputs=inputs)


def _one_line(error: OmegaConfBaseException) -> str:
    return f"{error.full_key or 'config'}: {str(error).splitlines()[0]}"


def _group_word(override: Override) -> str:
    """Check one `group=option` and spell it as Hydra wants it."""
    group, named = override.key_or_group, option_text(override)
    if override.package:
        raise BadRequest(f"{override.input_line}: packages are not used here; {group}=…")
    if not named:
        return f"{group}=[]" if group in _LISTED else f"~{group}"
    for name in named:
        if name not in options(group):
            raise BadRequest(f"{group}={name}: no such {group}; {_near(group, name)}")
    if len(named) > 1 and group not in _ADDING:
        raise BadRequest(f"{override.input_line}: one {group} at a time; several values need -m")
    quoted = [QuotedString(name, Quote.double).with_quotes() for name in named]
    listed = len(quoted) > 1 or isinstance(override.value(), list)
    return f"{group}=[{','.join(quoted)}]" if listed else f"{group}={quoted[0]}"


def _near(group: str, name: str) -> str:
    """What a group has instead of an option that it has not."""
    for folder in config_folders():
        for file in (folder / group).rglob("*.yml"):
            if file.stem == name:
                return f"a config's name ends in .yaml: {file}"
    if group == "scale" and name in SCALES:
        return "an experiment has its scale; allowed: smoke, which tries the wiring of any"
    return choices(name, options(group))


@lru_cache(maxsize=512)
def _compose_groups(
    selection: tuple[str, ...], folders: tuple[Path, ...]
) -> tuple[DictConfig, tuple[tuple[str, str], ...], str]:
    """The merged files of a choice of groups, with the file behind each and the experiment's name.

    Where an experiment or a word chooses another option than the experiment that it starts from,
    what that one said of its own (its learning rate, its width) does not apply: the new option
    starts from its own file. But what an experiment does to its data (label noise, how many
    samples, how many held out) is the experiment's: a word that chooses another data set keeps it.
    """
    try:
        chosen = _defaults(selection)
        used: dict[str, list[str]] = {}
        for option, _ in chosen:
            used.setdefault(option.partition("/")[0], []).append(option)
        last, before = _of_the_last_choice(used)
        config = OmegaConf.create()
        for option, package in chosen:
            body = {key: part for key, part in option_body(option).items() if key != "defaults"}
            if option.startswith("experiment/"):
                body = {group: said for group, said in body.items() if group not in last}
            for name in reversed(package.split(".") if package else []):
                body = {name: body}
            config.merge_with(body)
            if option == used.get("experiment", [PRIMARY])[-1]:
                for group in {*last} & {*used}:
                    for said in last[group]:
                        config.merge_with({group: said})
        if before is not None and config.get("dataset") is not None:
            _carry(config, *before)
    except HydraException as error:
        raise BadRequest("config: " + " ".join(str(error).split())) from None
    except OmegaConfBaseException as error:
        raise BadRequest(_one_line(error)) from None
    evaluators = config.get("evaluator") or {}
    for name in [*evaluators]:
        if isinstance(evaluators[name], DictConfig) and "name" not in evaluators[name]:
            del evaluators[name]  # of an evaluator that was not chosen
    del used[PRIMARY]
    files = [(PRIMARY, PRIMARY), *((group, option) for group in used for option in used[group])]
    sources = tuple((group, str(config_file(option))) for group, option in files)
    named = used.get("experiment", ["experiment/custom"])[-1]
    return config, sources, named.removeprefix("experiment/")


def _carry(config: DictConfig, option: str, said: Sequence[Mapping[str, Any]]) -> None:
    """Give the data set that a word chose what the experiment does to that of `option`."""
    node = config["dataset"]
    old_body = option_body(f"dataset/{option}")
    old = registry.describe("dataset", str(old_body["name"])).fields
    new = registry.describe("dataset", str(node["name"])).fields
    kept = {name: value for part in said for name, value in part.items() if name in _PROTOCOL}
    for name, value in kept.items():
        if name not in new and value != old[name].default:
            raise BadRequest(
                f"dataset={node['name']}: the experiment has dataset.{name}={value}, and "
                f"{node['name']} no such field; write an experiment of your own for it"
            )
    config["dataset"] = OmegaConf.merge(node, {k: v for k, v in kept.items() if k in new})
    watched = (config.get("engine") or {}).get("evaluate_every")
    if watched and all("validation" in fields for fields in (old, new)):
        own = config["dataset"].get("validation", new["validation"].default)
        config["dataset"]["validation"] = own or old_body.get(
            "validation", old["validation"].default
        )


def _of_the_last_choice(
    used: Mapping[str, Sequence[str]],
) -> tuple[dict[str, list[Any]], tuple[str, list[Any]] | None]:
    """Group -> what the experiments say of its last choice, where an earlier one had its say.

    And, where a word chose another data set than they do: theirs, and what they say of it.
    """
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
    theirs, of_it = chosen.get("dataset"), said.get("dataset", [])
    for group in {*chosen} - _ADDING:
        choose(group, used[group][0].partition("/")[2] if group in used else None)
    before = (theirs, of_it) if theirs is not None and theirs != chosen["dataset"] else None
    return {group: said.get(group, []) for group in stale - _ADDING}, before


def _defaults(selection: Sequence[str]) -> list[tuple[str, str]]:
    """Hydra's defaults list: the options to merge, in order, and the key below which each lies."""
    with _hydra():
        loader = GlobalHydra.instance().config_loader()
        listed = loader.compute_defaults_list(PRIMARY, list(selection), RunMode.RUN).defaults
    return [
        (item.config_path, item.package or "")
        for item in listed
        if item.config_path and not item.config_path.startswith("hydra/")
    ]


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
    call = resolver_call(value, key)
    if call is not None:
        raise BadRequest(f"{call}: config is data; a reference is ${{group.field}}")
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
