"""The trials of a search that learns from them, as tasks that a pool of processes asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from ppr.config.compose import compose
from ppr.config.composed import Config
from ppr.config.overrides import parse
from ppr.errors import BadRequest
from ppr.launchers.pool import Display, Task
from ppr.results.sweeps import Sweep
from ppr.sweepers.objective import best_value
from ppr.sweepers.pruning import Pruning
from ppr.sweepers.space import read_axes
from ppr.sweepers.study import Worker


@contextmanager
def trials(sweep: Sweep, job: str, display: Display) -> Iterator[Trials]:
    """This process as one of those that do a study's trials, under the name of a job."""
    found = Trials(sweep, job, display)
    with found.worker.at_work():
        yield found


class Trials(Display):
    """Asks a sweep's study for tasks, tells it and `display` what became of them."""

    def __init__(self, sweep: Sweep, job: str, display: Display) -> None:
        self.sweep, self.job, self.display = sweep, job, display
        self.lines = sweep.search["lines"]
        self.worker = Worker(sweep.folder, sweep.search, read_axes(parse(self.lines)))
        self.numbers: dict[int, int] = {}

    def __iter__(self) -> Iterator[Task]:
        """Tasks, until the study has had its trials; each is asked for when there is room."""
        while (task := self._next()) is not None:
            yield task

    def _next(self) -> Task | None:
        with self.worker.lock:
            while (trial := self.worker.ask()) is not None:
                words = self.worker.words(trial)
                try:
                    config = compose([words.get(line, line) for line in self.lines])
                except BadRequest as error:  # values that do not go together
                    click.echo(f"ppr: trial {trial.number} cannot be run: {error}", err=True)
                    self.worker.give_up(trial.number, error=str(error))
                    continue
                if not self.worker.settle_as_twin(trial, config.run_id):
                    return self._task(trial.number, config)
        return None

    def _task(self, number: int, config: Config) -> Task:
        self.sweep.read_trials()
        index = self.sweep.take(config, self.job)
        self.numbers[index] = number
        pruning = Pruning(self.sweep.folder, self.sweep.search, number)
        return Task(index, config, self.sweep.local_log(index), pruning=pruning)

    def started(self, task: Task) -> None:
        self.display.started(task)

    def stepped(self, task: Task, step: int, total: int) -> None:
        self.display.stepped(task, step, total)

    def waits(self, task: Task, why: str) -> None:
        self.display.waits(task, why)

    def finished(self, task: Task, summary: Mapping[str, Any]) -> None:
        value = best_value(self.sweep.run_folder(task.index), self.sweep.search)
        if value is None:
            missing = f"it has finished, but measured no {self.sweep.search['objective']}"
            self.failed(task, missing, again=False)
            return
        self.worker.tell(self.numbers[task.index], value)
        self.display.finished(task, summary)

    def failed(self, task: Task, error: str, again: bool) -> None:
        if not again:
            self.worker.give_up(self.numbers[task.index], error=error)
        self.display.failed(task, error, again)

    def pruned(self, task: Task, why: str) -> None:
        self.worker.pruned(self.numbers[task.index])
        self.display.pruned(task, why)

    def interrupted(self, task: Task) -> None:
        # Left as running: who comes next sees that its worker is gone, and goes on with it.
        self.display.interrupted(task)
