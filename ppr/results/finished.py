"""Whether the run of a config has been done, and where it lies; torch is not needed to tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.config.compose import Config
from ppr.config.inputs import input_config
from ppr.errors import RunFailed
from ppr.results import tree
from ppr.results.predictions import lacking
from ppr.results.summary import read_summary


def run_directory(config: Config) -> Path:
    """Where the run of a config lies in the results tree."""
    root = tree.results_root(config["results"]["root"])
    return tree.run_path(root, config.experiment, config.variant, config.seed)


def finished_summary(config: Config) -> dict[str, Any] | None:
    """The summary of a run that has been done, or None.

    Raises:
        RunFailed: there is one that cannot be used; says why, and how to have another.
    """
    folder = run_directory(config)
    again = command_line("run", *config.overrides, "--force")
    try:
        found = read_summary(folder)
    except RunFailed as error:
        raise RunFailed(f"{folder}: {error}; to run it again: {again}") from None
    for name in lacking(config.values, folder) if found else ():
        run = f"{config.experiment}/{config.variant}/seed={config.seed}"
        words = [each for each in config.overrides if each.lstrip("+~").startswith("evaluator")]
        is_evaluation = config["task"]["name"] == "evaluate"
        measured = again if is_evaluation else command_line("evaluate", run, *words)
        raise RunFailed(
            f"{folder}: is finished, and kept no predictions, as evaluator.{name}.keep=true asks; "
            f"to measure it again, without training: {measured}"
        )
    return found


def is_finished(config: Config) -> bool:
    """Whether the run has a summary that can be used."""
    return tree.state(run_directory(config)) == "finished"


def input_folder(values: Mapping[str, Any], name: str) -> Path:
    """The directory of the finished run that is an input.

    Raises:
        BadRequest: no such input.
        RunFailed: it has not been run to its end, or its summary is damaged; says the command.
    """
    config = input_config(values, name)
    folder = run_directory(config)
    if finished_summary(config) is None:
        command = command_line("run", *config.overrides)
        raise RunFailed(f"inputs.{name}: {folder} is not finished; {command}")
    return folder
