"""The base of studies: tasks without training, each a numerical experiment on a formula."""

from __future__ import annotations

from abc import ABC, abstractmethod

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

    def execute(self) -> Outcome:
        return Outcome(metrics=self.measure())

    def check(self) -> None:
        """Measure once and drop the result: what `ppr check` asks of a task."""
        self.measure()
