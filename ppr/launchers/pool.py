"""Several runs at a time on one machine, each in a process of its own.

Not by loky or joblib, whose pool is broken by a worker that is killed: here its run alone is, and
goes on from its checkpoint. Runs are also told of, pruned and saved on a signal while they are
done.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

from ppr.config.composed import Config
from ppr.config.places import Extensions
from ppr.engine.interrupts import StopRequest
from ppr.launchers.worker import serve
from ppr.results.failure import note_failure
from ppr.results.lock import is_held
from ppr.sweepers.pruning import Pruning

_LOOK_SECONDS = 0.2


@dataclass
class Task:
    """One run to do: the point of the sweep that it is, its config and its log.

    `pruning`: how the search that it is a trial of may stop it. `together`: other seeds of the
    same variant, which train with it in one process.
    """

    index: int
    config: Config
    log: Path
    force: bool = False
    kills: int = 0
    pruning: Pruning | None = None
    together: list[Task] = field(default_factory=list)


def grouped(tasks: Iterable[Task]) -> list[Task]:
    """The tasks, with as many seeds of a variant in one as its `engine.seeds_per_process` says."""
    found: list[Task] = []
    latest: dict[tuple[str, str], Task] = {}
    for task in tasks:
        variant = task.config.experiment, task.config.variant
        first = latest.get(variant)
        if first and 1 + len(first.together) < task.config["engine"]["seeds_per_process"]:
            first.together.append(task)
        else:
            latest[variant] = task
            found.append(task)
    return found


class Display:
    """Is told of the runs of a sweep; the base class says nothing."""

    def started(self, task: Task) -> None: ...

    def stepped(self, task: Task, step: int, total: int) -> None: ...

    def waits(self, task: Task, why: str) -> None: ...

    def finished(self, task: Task, summary: Mapping[str, Any]) -> None: ...

    def failed(self, task: Task, error: str, again: bool) -> None: ...

    def pruned(self, task: Task, why: str) -> None: ...

    def interrupted(self, task: Task) -> None: ...


class Worker:
    """A process with the environment of its slot, and the runs that it is at, by their number."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.channel, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(theirs, environment, Extensions.present())
        )
        self.process.start()
        theirs.close()
        self.tasks: dict[int, Task] = {}

    def give(self, task: Task) -> None:
        self.tasks = dict(enumerate([task, *task.together]))
        runs = [(each.config, each.log) for each in self.tasks.values()]
        with suppress(OSError):  # a worker that has just died is noticed by who waits for it
            self.channel.send((runs, task.force, task.pruning))

    def signal(self, number: signal.Signals) -> None:
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def end(self) -> str:
        """Wait for the process; how it ended, in words."""
        self.channel.close()
        self.process.join()
        code = self.process.exitcode or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def run_tasks(
    tasks: Iterable[Task],
    slots: Sequence[Mapping[str, str]],
    display: Display,
    stop: StopRequest,
    *,
    retries: int,
) -> None:
    """Do every task, as many at a time as there are slots; a slot is a worker's environment.

    A run whose process is killed goes on from its last checkpoint, `retries` times at most. A run
    that fails leaves the others alone. A run that another process is at is put off until the rest
    is done and that process has let go of it. When `stop` is set, those under way save and leave.
    Tasks are asked for one by one: which comes next may hang on how others ended.
    """
    new = iter(tasks)
    again: deque[Task] = deque()
    put_off: list[Task] = []
    free = deque(slots)
    workers: dict[Any, tuple[Worker, Mapping[str, str]]] = {}
    idle: list[Worker] = []
    told = False
    try:
        while True:
            while not stop and (idle or free) and (task := _next(again, new, put_off)):
                if not idle:
                    slot = free.popleft()
                    worker = Worker(slot)
                    workers[worker.channel] = worker, slot
                    idle.append(worker)
                _give(idle.pop(), task, display)
            if stop and not told:
                told = True
                for worker, _ in workers.values():
                    worker.signal(signal.SIGTERM)
            busy = [channel for channel, (worker, _) in workers.items() if worker.tasks]
            if not busy and (stop or not put_off):
                return
            for channel in connection.wait(busy, timeout=_LOOK_SECONDS):
                worker, slot = workers[channel]
                try:
                    message = worker.channel.recv()
                except (EOFError, OSError):
                    del workers[channel]
                    free.append(slot)
                    again.extend(_killed(worker, retries, display))
                    continue
                put_off += _tell(display, worker, message)
                if not worker.tasks:
                    idle.append(worker)
    finally:
        for worker, _ in workers.values():
            if worker.tasks:  # only an exception leaves one at work: a second Ctrl-C
                worker.signal(signal.SIGKILL)
            worker.end()


def _give(worker: Worker, task: Task, display: Display) -> None:
    worker.give(task)
    for each in worker.tasks.values():
        display.started(each)


def _tell(display: Display, worker: Worker, message: Any) -> list[Task]:
    """Pass a worker's message on, strike a run off that has ended; what is to be put off."""
    kind, *rest = message
    if kind == "step":
        for task in worker.tasks.values():
            display.stepped(task, *rest)
        return []
    number, *rest = rest
    task = worker.tasks.pop(number)
    if kind == "finished":
        display.finished(task, *rest)
    elif kind == "failed":
        display.failed(task, rest[0], again=False)
    elif kind == "pruned":
        display.pruned(task, *rest)
    elif kind == "busy":
        display.waits(task, *rest)
        task.together = []
        return [task]
    else:
        display.interrupted(task)
    return []


def _next(again: deque[Task], new: Iterator[Task], put_off: list[Task]) -> Task | None:
    task = again.popleft() if again else next(new, None)
    if task is not None:
        return task
    for task in put_off:
        if not is_held(task.config.folder):
            put_off.remove(task)
            return task
    return None


def _killed(worker: Worker, retries: int, display: Display) -> list[Task]:
    """What to do about the runs of a process that died: the task to do again, if any."""
    how = worker.end()
    left = list(worker.tasks.values())
    again = left[0].kills < retries
    for task in left:
        if not again:
            note_failure(task.config.folder, f"its process was {how}")
        display.failed(task, f"its process was {how}", again=again)
        task.kills += 1
        task.force = False  # what it has done so far is this run's own
    left[0].together = left[1:]
    return left[:1] if again else []
