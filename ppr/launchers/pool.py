"""Several runs at a time on one machine, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from ppr.config.compose import Config
from ppr.engine.interrupts import StopRequest
from ppr.launchers.worker import serve

_LOOK_SECONDS = 0.2


@dataclass
class Task:
    """One run to do: the point of the sweep that it is, its config and its log."""

    index: int
    config: Config
    log: Path
    force: bool = False
    kills: int = 0


class Display:
    """Is told of the runs of a sweep; the base class says nothing."""

    def started(self, task: Task) -> None: ...

    def stepped(self, task: Task, step: int, total: int) -> None: ...

    def finished(self, task: Task, summary: Mapping[str, Any]) -> None: ...

    def failed(self, task: Task, error: str, again: bool) -> None: ...

    def interrupted(self, task: Task) -> None: ...


class Worker:
    """A process with the environment of its slot, and the run that it is at."""

    def __init__(self, environment: Mapping[str, str], plugins: Sequence[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.channel, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, environment, plugins))
        self.process.start()
        theirs.close()
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # a worker that has just died is noticed by who waits for it
            self.channel.send((task.config, task.log, task.force))

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
    plugins: Sequence[str],
) -> None:
    """Do every task, as many at a time as there are slots; a slot is a worker's environment.

    A run whose process is killed goes on from its last checkpoint, `retries` times at most. A run
    that fails leaves the others alone. When `stop` is set, the runs under way save and leave.
    """
    waiting = deque(tasks)
    free = deque(slots[: len(waiting)])
    workers: dict[Any, tuple[Worker, Mapping[str, str]]] = {}
    idle: list[Worker] = []
    told = False
    try:
        while True:
            while waiting and not stop and (idle or free):
                if not idle:
                    slot = free.popleft()
                    worker = Worker(slot, plugins)
                    workers[worker.channel] = worker, slot
                    idle.append(worker)
                task = waiting.popleft()
                idle[-1].give(task)
                idle.pop()
                display.started(task)
            if stop and not told:
                told = True
                for worker, _ in workers.values():
                    worker.signal(signal.SIGTERM)
            busy = [channel for channel, (worker, _) in workers.items() if worker.task]
            if not busy:
                return
            for channel in connection.wait(busy, timeout=_LOOK_SECONDS):
                worker, slot = workers[channel]
                assert worker.task is not None
                try:
                    message = worker.channel.recv()
                except (EOFError, OSError):
                    del workers[channel]
                    free.append(slot)
                    again = _killed(worker, retries, display)
                    waiting.extendleft([again] if again else [])
                    continue
                if _tell(display, worker.task, message):
                    worker.task = None
                    idle.append(worker)
    finally:
        for worker, _ in workers.values():
            if worker.task:  # only an exception leaves one at work: a second Ctrl-C
                worker.signal(signal.SIGKILL)
            worker.end()


def _tell(display: Display, task: Task, message: Any) -> bool:
    """Pass a worker's message on; whether the run is over."""
    kind, *rest = message
    if kind == "step":
        display.stepped(task, *rest)
        return False
    if kind == "finished":
        display.finished(task, *rest)
    elif kind == "failed":
        display.failed(task, rest[0], again=False)
    else:
        display.interrupted(task)
    return True


def _killed(worker: Worker, retries: int, display: Display) -> Task | None:
    """What to do about the run of a process that died: the task to do again, or None."""
    from ppr.launchers.attempt import note_failure
    from ppr.run import run_directory

    task = worker.task
    assert task is not None
    how = worker.end()
    again = task.kills < retries
    if not again:
        note_failure(run_directory(task.config), f"its process was {how}")
    display.failed(task, f"its process was {how}", again=again)
    task.kills += 1
    task.force = False  # what it has done so far is this run's own
    return task if again else None


def visible_devices(wanted: str) -> list[str]:
    """The GPUs that `engine.device` lets runs use, as CUDA_VISIBLE_DEVICES names them."""
    if wanted not in ("auto", "cuda"):
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device for device in named.split(",") if device]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def make_slots(
    jobs: int | None, devices: Sequence[str], per_device: int = 1
) -> list[dict[str, str]]:
    """The environment of each worker: its GPU, dealt round, and its share of the CPU's cores."""
    number = jobs or max(1, len(devices) * per_device)
    slots: list[dict[str, str]] = [{} for _ in range(number)]
    for index, slot in enumerate(slots):
        if devices:
            slot["CUDA_VISIBLE_DEVICES"] = devices[index % len(devices)]
        if number > 1 and "OMP_NUM_THREADS" not in os.environ:
            slot["OMP_NUM_THREADS"] = str(max(1, _cores() // number))
    return slots


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what a job may use, not what the machine has
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
