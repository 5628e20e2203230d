"""Runs that another run starts from: a distillation teacher, a checkpoint to prune.

    inputs: {teacher: "experiment=ce_digits model=resnet34"}

The words are those of `ppr run`. An input that names no `seed=` has the seed of the run that asks
for it, and one that names no `scale=` is a smoke run where that run is one. Where and how fast it
is computed (device, data folder, results tree) follows the run that asks. A word that chooses
another data set for the run chooses it for the inputs that its experiment has on the same one:
`experiment=merge_overlap_digits dataset=mnist` merges networks trained on MNIST.
"""

from __future__ import annotations

import shlex
from collections.abc import Container, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from ppr import registry
from ppr.config.compose import Config, compose
from ppr.config.identity import run_id, variant_id
from ppr.config.settings import MACHINE_FIELDS
from ppr.errors import BadRequest, choices

_followed: ContextVar[tuple[str, ...]] = ContextVar("inputs being composed", default=())


def input_words(values: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The words that ask for an input of the run with these config values."""
    try:
        words = shlex.split(values["inputs"][name])
    except ValueError as error:
        reason = f"inputs.{name}={values['inputs'][name]!r}: {str(error).lower()}"
        raise BadRequest(reason) from None
    if not _names(words, "seed"):
        words.append(f"seed={values['seed']}")
    if values["scale"] == "smoke" and not _names(words, "scale"):
        words.append("scale=smoke")
    return tuple(words)


def _names(words: list[str], key: str) -> bool:
    return any(word.split("=", 1)[0].lstrip("+") == key for word in words)


def input_config(values: Mapping[str, Any], name: str) -> Config:
    """The config of an input.

    Raises:
        BadRequest: no such input, or its words name what is not there.
    """
    if name not in values["inputs"]:
        raise BadRequest(f"inputs.{name}: the config names none; {choices(name, values['inputs'])}")
    try:
        config = compose(input_words(values, name))
    except BadRequest as error:
        raise BadRequest(f"inputs.{name}: {error}") from None
    machine = {key: values["engine"][key] for key in MACHINE_FIELDS}
    own = dict(config.values)
    own["engine"] = {**own["engine"], **machine}
    own["data"] = {**own["data"], "root": values["data"]["root"]}
    own |= {key: values[key] for key in ("results", "tracker", "launcher")}
    return replace(config, values=own)


def input_ids(values: Mapping[str, Any], asked: tuple[str, ...] = ()) -> dict[str, str]:
    """What the identity of a run takes of its inputs: their own, so that a change in them shows.

    The run's id, or, where the input follows the seed of the run that asks, its variant's.

    Raises:
        BadRequest: an input needs, through others, itself; names the path.
    """
    found = {}
    for name, said in values["inputs"].items():
        words = " ".join(input_words(values, name))
        if words in asked:
            path = " → ".join([*asked[asked.index(words) :], words])
            raise BadRequest(f"inputs.{name}: a cycle: {path}")
        identify = run_id if _names(shlex.split(said), "seed") else variant_id
        found[name] = identify(input_config(values, name).values, (*asked, words))
    return found


def follow(
    values: dict[str, Any],
    own: Mapping[str, Any] | None,
    selection: Sequence[str],
    given: Container[str],
) -> None:
    """Have the inputs trained on the data set that words chose for the run instead of its `own`.

    That is: those that the experiment names, and that it has on the same data set as itself. An
    input that is itself given by a word, one of `given`, stays as it is said.

    Raises:
        BadRequest: an input needs, through others, itself.
    """
    before, now = _whole(own), _whole(values["dataset"])
    if before in (None, now):
        return
    chosen = next((word for word in selection if word.startswith("dataset=")), f"dataset={now}")
    inputs = dict(values["inputs"])
    for name, said in values["inputs"].items():
        if f"inputs.{name}" in given or "inputs" in given:
            continue
        if said in _followed.get():
            raise BadRequest(f"inputs.{name}: a cycle: {said}")
        mark = _followed.set((*_followed.get(), said))
        try:
            theirs = input_config(values, name)["dataset"]
        finally:
            _followed.reset(mark)
        if _whole(theirs) == before:
            word = f"dataset.of={now}" if "of" in theirs else chosen.replace('"', "")
            inputs[name] = f"{said} {word}"
    values["inputs"] = inputs


def _whole(node: Mapping[str, Any] | None) -> str | None:
    """The data set that a node is, or is a part of."""
    if not node:
        return None
    field = registry.describe("dataset", str(node["name"])).fields.get("of")
    return str(node["name"] if field is None else node.get("of", field.default))


def inputs_of(config: Config) -> list[Config]:
    """The runs that a run starts from, less their own inputs."""
    return [input_config(config.values, name) for name in config["inputs"]]


def needed(config: Config) -> list[Config]:
    """Every run that must be finished before this one can start, in an order that works.

    Raises:
        BadRequest: the inputs go round in a circle, or name what is not there.
    """
    config.run_id  # noqa: B018  refuses a cycle, in which the walk below would never end
    found: dict[tuple[str, str], Config] = {}
    for config_of in inputs_of(config):
        for each in (*needed(config_of), config_of):
            found.setdefault((each.experiment, each.run_id), each)
    return list(found.values())
