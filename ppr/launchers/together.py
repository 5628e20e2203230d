"""Seeds of one variant run together in this process: each claimed, recorded and ended as usual.

Seeds whose newest checkpoints are of the same step train together; where a kill came in the middle
of saving, those of another step follow.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.config.composed import Config
from ppr.engine.stackable import refuse_unstackable
from ppr.errors import RunFailed
from ppr.results import tree
from ppr.results.failure import reason, write_failure
from ppr.results.lock import RunBusy

if TYPE_CHECKING:
    from ppr.engine.bench import Outcome, Watcher
    from ppr.engine.train import Training

Ended = Callable[[Config, "dict[str, Any] | Exception"], None]
"""Is told of each run as it ends: its summary, or what went wrong."""


@dataclass(frozen=True)
class _Seed:
    """A run that has been opened."""

    config: Config
    folder: Path
    environment: dict[str, Any]


def attempt_together(
    configs: Sequence[Config], watcher: Watcher, ended: Ended, *, force: bool
) -> None:
    """Do the runs, which differ in the seed alone, or go on with them, or find them done.

    Raises:
        Interrupted: a signal asked to stop; those that have not ended have saved a checkpoint.
    """
    from ppr.engine.checkpoints import load_checkpoint
    from ppr.engine.interrupts import stop_on_signal
    from ppr.run import claim_run
    from ppr.trackers.live import check_tracker, tracked

    with ExitStack() as held, stop_on_signal():
        at_step: dict[int, list[Config]] = defaultdict(list)
        for config in configs:
            folder = config.folder
            with _ending(config, ended):
                refuse_unstackable(config.values)
                check_tracker(config)
                done = claim_run(config, folder, held, force=force)
                if done is not None:
                    ended(config, done)
                    continue
                held.enter_context(tracked(config, folder))
                saved = load_checkpoint(folder / tree.CHECKPOINTS)
                at_step[saved["step"] if saved else 0].append(config)
        for group in at_step.values():
            _train(group, watcher, ended)


def _train(configs: Sequence[Config], watcher: Watcher, ended: Ended) -> None:
    from ppr.engine.checkpoints import drop_checkpoints
    from ppr.engine.interrupts import Interrupted
    from ppr.engine.stacked import StackedLoop
    from ppr.run import write_summary

    started = time.perf_counter()
    seeds: dict[Training, _Seed] = {}
    for config in configs:
        with _ending(config, ended):
            training, seed = _open(config, watcher, next(iter(seeds), None))
            seeds[training] = seed

    def failed(training: Training, error: Exception) -> None:
        _end(seeds.pop(training).config, error, ended)

    try:
        loop = StackedLoop(list(seeds), failed)
        loop.fit(loop.after_epoch)
    except Interrupted:
        raise
    except Exception as error:  # of the step that they share
        for training in list(seeds):
            failed(training, error)
    outcomes: dict[Training, Outcome] = {}
    for training, seed in seeds.items():
        with _ending(seed.config, ended):
            outcomes[training] = training.finish()
    seconds = (time.perf_counter() - started) / len(configs)
    cost = {"seconds": seconds, "seeds_together": len(configs)}
    for training, outcome in outcomes.items():
        seed = seeds[training]
        with _ending(seed.config, ended):
            summary = write_summary(seed.config, seed.folder, outcome, seed.environment, cost)
            drop_checkpoints(seed.folder / tree.CHECKPOINTS)
            ended(seed.config, summary)


def _open(config: Config, watcher: Watcher, other: Training | None) -> tuple[Training, _Seed]:
    """A run ready to train; data are taken from another seed's, and one seed alone is watched."""
    from ppr.engine.bench import Watcher
    from ppr.engine.interrupts import stop_on_signal
    from ppr.engine.train import Training
    from ppr.engine.training import TrainingTask
    from ppr.engine.vectorise import Refused
    from ppr.run import make_task, open_bench, write_request

    folder = config.folder
    (folder / tree.FAILURE).unlink(missing_ok=True)
    bench = open_bench(config, folder, Watcher() if other else watcher)
    with stop_on_signal() as bench.stop:
        if other:
            bench.dataset = other.bench.dataset
        environment = write_request(config, bench)
        task = make_task(bench)
        if not isinstance(task, TrainingTask) or type(task).execute is not TrainingTask.execute:
            raise Refused(f"the task {config['task']['name']!r} is more than a training loop")
        return Training(task, bench), _Seed(config, folder, environment)


@contextmanager
def _ending(config: Config, ended: Ended) -> Iterator[None]:
    """What breaks a run ends that run alone; it is left in its directory."""
    try:
        yield
    except Exception as error:
        _end(config, error, ended)


def _end(config: Config, error: Exception, ended: Ended) -> None:
    if not isinstance(error, RunBusy):
        with suppress(RunFailed):  # it is told of in any case
            write_failure(config.folder, reason(error))
    ended(config, error)
