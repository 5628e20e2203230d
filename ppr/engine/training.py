"""A task that trains a network by gradient steps, and evaluates it."""

from __future__ import annotations

from ppr.engine.bench import Outcome
from ppr.engine.learner import Learner
from ppr.engine.loop import Loop
from ppr.engine.train import Monitor, train_and_evaluate


class TrainingTask(Learner):
    """A learner that is a run's task: the loop trains it, then every evaluator measures it."""

    def execute(self) -> Outcome:
        """Train, then evaluate."""
        return train_and_evaluate(self, self.bench)

    def check(self) -> None:
        """Train one small step, build evaluators and monitor: what `ppr check` asks of a task.

        Raises:
            BadRequest: `engine.monitor` does not fit the evaluators or the data.
            RunFailed: the loss is not finite.
        """
        self.bench.evaluators()
        Monitor(self, self.bench)
        loop = Loop(self, self.bench)
        loop.update(next(iter(loop.batches.epoch(0))))
        loop.step = 1
        loop.log()
