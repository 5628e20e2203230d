"""Whether the run of a config has been done, and where it lies; torch is not needed to tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.config.composed import Config, find_input
from ppr.errors import RunFailed
from ppr.results import tree
from ppr.results.predictions import lacking
from ppr.results.summary import read_summary


def finished_summary(config: Config) -> dict[str, Any] | None:
    """The summary of a run that has been done, or None.

    Raises:
        RunFailed: there is one that cannot be used; says why, and how to have another.
    """
    folder = config.folder
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
    return tree.state(config.folder) == "finished"


def input_folder(inputs: Mapping[str, Config], name: str) -> Path:
    """The directory of the finished run that is an input.

    Raises:
        BadRequest: no such input.
        RunFailed: it has not been run to its end, or its summary is damaged; says the command.
    """
    config = find_input(inputs, name)
    if finished_summary(config) is None:
        command = command_line("run", *config.overrides)
        raise RunFailed(f"inputs.{name}: {config.folder} is not finished; {command}")
    return config.folder
