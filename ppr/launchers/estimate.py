"""How long runs will take: from recorded ones, else from a few steps of the real loop.

The steps are taken in a process of their own, which hands its memory, and a GPU, back.
"""

from __future__ import annotations

import math
import signal
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.config.composed import Config
from ppr.config.places import Extensions, data_root
from ppr.engine.bench import Bench, Watcher
from ppr.errors import PprError, RunFailed
from ppr.launchers.recorded import Recorded, kind

STEPS = 4
"""The first one warms up and is not counted."""
BUDGET = 5.0
"""Seconds that the steps of one kind of run may take."""
PATIENCE = 20.0
"""Seconds, from the first one on, after which no further kind of run is measured."""


@dataclass
class Estimate:
    """Seconds that runs take one after another, and how many of them that counts.

    `unknown`: experiment -> why it has no estimate.
    """

    seconds: float = 0.0
    recorded: int = 0
    measured: int = 0
    untold: int = 0
    unknown: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Where the seconds come from, in words."""
        parts = [f"{self.recorded} from recorded runs"] if self.recorded else []
        parts += [f"{self.measured} from a few measured steps"] if self.measured else []
        parts += [f"{self.untold} more unknown"] if self.untold else []
        return ", ".join(parts)


def estimate(configs: Sequence[Config], root: Path, *, measuring: bool = True) -> Estimate:
    """The median of recorded runs of the same variant or kind, else what is measured."""
    found = Estimate()
    known = Recorded(root, {config.experiment for config in configs})
    lacking = []
    for config in configs:
        seconds = known.seconds(config)
        if seconds is not None:
            found.seconds += seconds
            found.recorded += 1
        else:
            lacking.append(config)
    measured = _measured(lacking) if measuring and lacking else {}
    for config in lacking:
        value = measured.get(kind(config.experiment, config.values))
        if isinstance(value, float):
            found.seconds += value
            found.measured += 1
        else:
            found.untold += 1
            if value is not None:
                found.unknown[config.experiment] = value
    return found


def _measured(configs: Iterable[Config]) -> dict[tuple[Any, ...], float | str]:
    """The seconds of one run of each kind, or why they cannot be told."""
    kinds: dict[tuple[Any, ...], Config] = {}
    for config in configs:
        kinds.setdefault(kind(config.experiment, config.values), config)
    found: dict[tuple[Any, ...], float | str] = {}
    end = math.inf
    executor = ProcessPoolExecutor(1, get_context("spawn"), Extensions.present().add)
    with executor:
        for key, config in kinds.items():
            if time.monotonic() > end:
                break
            try:
                found[key] = executor.submit(measure, config).result()
            except PprError as error:
                found[key] = str(error)
            except BrokenProcessPool:
                found[key] = "the process that tried it died"
                break
            except Exception as error:  # the run itself will say it with its log
                found[key] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            end = min(end, time.monotonic() + PATIENCE)  # its process has started by now
    return found


def measure(config: Config) -> float:
    """Seconds that a run would take, from a few of its own steps and one round of evaluation.

    Raises:
        RunFailed: it cannot be told here.
        BadRequest: the run itself would be refused.
    """
    if config["inputs"]:
        raise RunFailed("it starts from another run, so it cannot be tried alone")
    from ppr.engine.loop import Loop
    from ppr.engine.training import TrainingTask
    from ppr.run import make_task, open_bench

    engine = {**config["engine"], "log_every": 1}
    config = replace(config, values={**config.values, "engine": engine})
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock()
        bench = open_bench(config, Path(folder), clock)
        if config["scale"] == "paper" and bench.device.type == "cpu":
            raise RunFailed("of paper scale, which is not tried on a CPU")
        _check_data(bench)
        task = make_task(bench)
        if not isinstance(task, TrainingTask):
            raise RunFailed("a study: it has no steps to measure, and none is recorded yet")
        task.to(bench.device)
        loop = Loop(task, bench)
        clock.run(loop, bench)
        evaluation = _evaluation_seconds(task, bench) if config["scale"] == "desk" else 0.0
        loop.metrics.close()
        loop.timing.close()
    return clock.seconds_a_step * clock.total + evaluation


def _check_data(bench: Bench) -> None:
    """An estimate must not download a data set."""
    data = bench.values["data"]
    if not bench.chosen("dataset") or data["synthetic"]:
        return
    source = bench.build("dataset", data_root(data["root"]))
    if hasattr(source, "find") and source.find() is None:
        fetch = command_line("data", "fetch", bench.values["dataset"]["name"])
        raise RunFailed(f"its data is not here; {fetch}")


class _Clock(Watcher):
    """Times the steps of a loop and stops it when it has seen enough."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.total = 0

    def run(self, loop: Any, bench: Bench) -> None:
        from ppr.engine.interrupts import Interrupted, StopRequest

        self.stop = bench.stop = StopRequest()
        self.times = [time.perf_counter()]
        try:
            loop.fit(lambda epoch: None)
        except Interrupted:
            return

    def started(self, steps: int, steps_per_epoch: int, at: int) -> None:
        self.total = steps

    def stepped(self, step: int, epoch: float, values: Mapping[str, float], rate: float) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) > STEPS or self.times[-1] - self.times[0] > BUDGET:
            self.stop.received = signal.SIGTERM

    @property
    def seconds_a_step(self) -> float:
        counted = self.times[1:] if len(self.times) > 2 else self.times
        return (counted[-1] - counted[0]) / (len(counted) - 1)


def _evaluation_seconds(task: Any, bench: Bench) -> float:
    """One timed round of the evaluators, times the rounds that a run makes."""
    from ppr.engine.train import measure

    start = time.perf_counter()
    measure(task, bench, "test")
    whole = time.perf_counter() - start
    every = bench.settings.evaluate_every
    rounds = 1 + bool(every) + bool(task.reports_untrained)
    if not every or bench.settings.monitor is None:
        return whole * rounds
    start = time.perf_counter()
    measure(task, bench, "validation", only=bench.settings.monitor.removeprefix("-").split("/")[0])
    watched = time.perf_counter() - start
    return whole * rounds + watched * (bench.settings.epochs // every)
