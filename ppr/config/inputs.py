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
from collections.abc import Mapping, Sequence
from typing import Any

from ppr import registry
from ppr.config.settings import MACHINE_FIELDS
from ppr.errors import BadRequest


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


def names_seed(said: str) -> bool:
    """Whether the words of an input say its seed, which else is that of the run that asks."""
    return _names(shlex.split(said), "seed")


def _names(words: Sequence[str], key: str) -> bool:
    return any(word.split("=", 1)[0].lstrip("+") == key for word in words)


def at_place_of(values: Mapping[str, Any], asking: Mapping[str, Any]) -> dict[str, Any]:
    """An input's values, computed where and how fast the run that asks for it is."""
    machine = {key: asking["engine"][key] for key in MACHINE_FIELDS}
    return dict(values) | {
        "engine": {**values["engine"], **machine},
        "data": {**values["data"], "root": asking["data"]["root"]},
        **{key: asking[key] for key in ("results", "tracker", "launcher")},
    }


def followed(
    said: str,
    theirs: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    selection: Sequence[str],
) -> str:
    """The words of an input, on the data set that words chose for the run that asks for it.

    That is: where the experiment of that run has the input on the same data set as itself.

    Args:
        theirs: the data set that the input is on, as `said`.
        before: the data set of the experiment of the run that asks.
        now: the data set of that run.
        selection: the words by which it chose its groups.
    """
    own, new = whole(before), whole(now)
    if own in (None, new) or theirs is None or whole(theirs) != own:
        return said
    chosen = next((word for word in selection if word.startswith("dataset=")), f"dataset={new}")
    word = f"dataset.of={new}" if "of" in theirs else chosen.replace('"', "")
    return f"{said} {word}"


def whole(node: Mapping[str, Any] | None) -> str | None:
    """The data set that a node is, or is a part of."""
    if not node:
        return None
    field = registry.describe("dataset", str(node["name"])).fields.get("of")
    return str(node["name"] if field is None else node.get("of", field.default))
