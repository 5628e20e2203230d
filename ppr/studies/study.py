"""The base of studies: tasks without training, each a numerical experiment on a formula."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ppr import registry
from ppr.config.settings import EngineSettings
from ppr.engine.bench import Bench, Outcome


class Study(ABC):
    """A study measures; `measure` is cheap enough to be its own check.

    All that is random in it draws from a generator of the run's seed.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @abstractmethod
    def measure(self) -> dict[str, dict[str, float]]:
        """A name for the measurement -> metric -> value, as in a summary's metrics."""

    def theory(self) -> dict[str, float]:
        """The closed forms, metric -> value, where they can be had without measuring.

        They are then drawn as a curve of their own, at any value of a plot's axis.
        """
        return {}

    def execute(self) -> Outcome:
        return Outcome(metrics=self.measure())

    def check(self) -> None:
        """Measure once and drop the result: what `ppr check` asks of a task."""
        self.measure()


def closed_forms(values: Mapping[str, Any]) -> dict[str, float]:
    """What the study of a composed config knows from theory alone; empty for any other task.

    Raises:
        BadRequest: its fields do not go together.
    """
    task = registry.load("task", values["task"]["name"])
    if not (isinstance(task, type) and issubclass(task, Study)):
        return {}
    settings = EngineSettings(**values["engine"])
    bench = Bench(values, torch.device("cpu"), "fp32", Path(), settings)
    study: Study = registry.make("task", values["task"], bench)
    return study.theory()
