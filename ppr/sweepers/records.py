"""What the record of a sweep says of a search: what is searched, by what it is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ppr.config.compose import compose
from ppr.config.composed import Config
from ppr.config.overrides import parse
from ppr.errors import BadRequest
from ppr.sweepers.objective import objective_of
from ppr.sweepers.space import Axis


def study_record(words: Sequence[str], first: Config, axes: Sequence[Axis]) -> dict[str, Any]:
    """A search that learns from its trials; `identity` is what makes it another one.

    Raises:
        BadRequest: an end or a value of the space cannot be had, or is measured by another metric.
    """
    swept = {axis.line for axis in axes}
    lines = [str(override.input_line) for override in parse(words)]
    fixed = [line for line in lines if line.split("=", 1)[0].split(".", 1)[0] != "sweeper"]
    objectives = {}
    for axis in axes:
        if len(set(axis.values)) < len(axis.values):
            raise BadRequest(f"{axis.line}: it lists a value twice")
        for word in axis.ends():
            at = [word if line == axis.line else _first(line, axes) for line in lines]
            objectives[objective_of(compose(at))] = word
    if len(objectives) > 1:
        said = " and ".join(f"{name} ({word})" for name, word in objectives.items())
        raise BadRequest(
            f"sweeper=optuna: one study has one objective, and here are {said}; "
            "use sweeper=random to compare, or a study each"
        )
    sweeper, engine = first["sweeper"], first["engine"]
    (objective,) = objectives
    identity = {
        "base": f"{first.experiment}/{first.run_id}",
        "space": sorted(swept),
        "objective": objective,
        "direction": sweeper["direction"],
        "seed": sweeper["seed"],
        "pruner": sweeper["pruner"],
    }
    return {
        **{key: identity[key] for key in ("objective", "direction", "seed", "pruner")},
        "sweeper": sweeper["name"],
        "trials": sweeper["trials"],
        "every": engine["evaluate_every"],
        "epochs": engine["epochs"],
        "lines": fixed,
        "searched": [axis.key for axis in axes],
        "method": " ".join(line for line in fixed if line.startswith("experiment="))
        or first.experiment,
        "identity": identity,
        "study": sweeper["study"],
    }


def _first(line: str, axes: Sequence[Axis]) -> str:
    return next((axis.ends()[0] for axis in axes if axis.line == line), line)


def comparison_record(
    trials: Sequence[Config], first: Config, searched: Sequence[Axis]
) -> tuple[list[Config], dict[str, Any]]:
    """The runs of a random search, each once, and which of them are whose trials."""
    keys = {axis.key for axis in searched}
    runs: dict[tuple[str, str], int] = {}
    configs: list[Config] = []
    methods: dict[tuple[str, ...], dict[str, Any]] = {}
    for config in trials:
        words = tuple(word for word in config.overrides if word.split("=", 1)[0] not in keys)
        if words not in methods:
            # The words of a trial say nothing of the sweeper, whose say is in the first config.
            asked = replace(config, values={**config.values, "sweeper": first["sweeper"]})
            methods[words] = {
                "words": words,
                "objective": objective_of(asked),
                "trials": 0,
                "points": [],
            }
        method = methods[words]
        method["trials"] += 1
        index = runs.setdefault((config.experiment, config.run_id), len(configs))
        if index == len(configs):
            configs.append(config)
        if index not in method["points"]:
            method["points"].append(index)
    common = set.intersection(*(set(words) for words in methods))
    for words, method in methods.items():
        own = " ".join(word for word in words if word not in common)
        method["method"] = own or configs[method["points"][0]].experiment
    sweeper = first["sweeper"]
    return configs, {
        "sweeper": sweeper["name"],
        "direction": sweeper["direction"],
        "trials": sweeper["trials"],
        "searched": sorted(keys),
        "methods": list(methods.values()),
        "identity": {
            "space": sorted(axis.line for axis in searched),
            "objectives": sorted({method["objective"] for method in methods.values()}),
            **{key: sweeper[key] for key in ("direction", "seed", "trials")},
        },
    }
