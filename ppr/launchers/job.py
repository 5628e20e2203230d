"""What a SLURM job does: its runs, and what becomes of them when it is stopped or killed.

A run on several devices is a job of several tasks, each a process of the run; the first speaks for
all of them.

A job that is asked to stop (a time limit, a preemption) saves within a step and hands the signal to
submitit, which requeues it. A job that is killed with no warning is requeued by its batch script,
which calls this module; one whose node died, by SLURM. However it comes back, it goes on from
what is on disk.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.config.composed import Config
from ppr.config.places import Extensions
from ppr.engine.interrupts import StopRequest, stop_on_signal
from ppr.errors import RunFailed
from ppr.launchers.queue import slurm, still_running
from ppr.paths import expanded
from ppr.results.finished import is_finished
from ppr.results.sweeps import JOBS, RECORD, Sweep, load
from ppr.results.tree import FAILURE
from ppr.streams import steady_streams

_RECORD_SECONDS = 30.0


@dataclass(frozen=True)
class Job:
    """The function that submitit runs: one run of a sweep, or several, `jobs` at a time.

    `places`: the folders that variables named where it was submitted; `study`: the sweep whose
    trials it does, of a search that learns from them.
    """

    folder: Path
    configs: Mapping[int, Config]
    extensions: Extensions
    places: Mapping[str, str]
    retries: int
    jobs: int
    force: bool
    study: Sweep | None = None

    def __call__(self) -> None:
        steady_streams()
        restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        job = job_id()
        # Where sbatch does not pass the environment on, data and results are still where they were.
        os.environ.update(self.places)
        os.environ["PPR_RESULTS"] = str(self.folder.parent.parent)
        self.extensions.add()
        kills = unwarned(self.folder, job, restarts)
        if kills > self.retries:
            raise RunFailed(_too_often(kills, self.retries))
        # A job that comes back goes on with what it began, whatever --force said.
        current = replace(self, force=self.force and not restarts)
        _meet()
        with stop_on_signal(patient=True) as stop:
            failures = current.run(stop)
        if os.environ.get("RANK", "0") != "0":
            return  # the first task sees to the rest
        left = [index for index in self.configs if index not in failures and not self._done(index)]
        unfinished = bool(left) or (self.study is not None and bool(stop))
        if unfinished and stop and still_running(job):
            note_warned(self.folder, job, stop)
            _requeue()
        if failures or unfinished:
            raise RunFailed("; ".join(failures.values()) or "stopped, saved")

    def _done(self, index: int) -> bool:
        return is_finished(self.configs[index])

    def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """submitit asks for what to run when the job comes back: the same."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self)

    def run(self, stop: StopRequest) -> dict[int, str]:
        """Do the runs; what failed. A job of one run fails with that run's own error."""
        if self.study is not None or len(self.configs) > 1:
            return self._run_packed(stop)
        from ppr.display.progress import PlainWatcher
        from ppr.engine.interrupts import Interrupted
        from ppr.launchers.attempt import attempt

        (config,) = self.configs.values()
        print(command_line("run", *config.overrides), flush=True)
        try:
            attempt(config, PlainWatcher(), force=self.force)
        except Interrupted as error:
            print(error, flush=True)
        return {}

    def _run_packed(self, stop: StopRequest) -> dict[int, str]:
        from ppr.launchers.display import Lines
        from ppr.launchers.launch import Order
        from ppr.launchers.pool import run_tasks
        from ppr.launchers.process import make_slots, visible_devices

        sweep = self.study or load(self.folder)
        trials = sweep.search["trials"] if self.study else 0
        order = Order(sweep, {}, self.configs, self.force, trials=trials)
        display = Lines(sweep, order.total)
        slots = make_slots(self.jobs, visible_devices("auto"))
        with order.tasks(job_id(), display) as (tasks, told):
            run_tasks(tasks, slots, told, stop, retries=self.retries)
        return {index: f"{sweep.label(index)}: {e}" for index, e in display.failures.items()}


def places() -> dict[str, str]:
    """The folders that variables name here, from the root: a job may start in another."""
    named = {name: os.environ.get(name) for name in ("PPR_DATA", "PPR_CACHE", "HF_HOME")}
    return {name: os.path.abspath(expanded(v, name)) for name, v in named.items() if v}


def job_id() -> str:
    """This job's id as submitit and squeue give it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _meet() -> None:
    """Tell torch.distributed of the job's tasks, where there are several."""
    from submitit.helpers import TorchDistributedEnvironment

    tasks = TorchDistributedEnvironment()
    if tasks.world_size > 1:
        tasks.export(set_cuda_visible_devices=False, overwrite=True)


def _requeue() -> None:
    """Have submitit requeue this job and leave: its handler is back now that ours is gone."""
    from submitit.core.job_environment import JobEnvironment

    signal.raise_signal(getattr(signal, f"SIG{JobEnvironment.USR_SIG}"))


def _warnings(folder: Path, job: str) -> Path:
    return folder / JOBS / f"{job}_warnings.log"


def note_warned(folder: Path, job: str, stop: StopRequest) -> None:
    """Note that the coming restart of a job is no kill: it was asked to stop, and saved."""
    assert stop.received is not None
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    with _warnings(folder, job).open("a", encoding="utf-8") as file:
        file.write(f"{now} {stop.received.name}\n")


def unwarned(folder: Path, job: str, restarts: int) -> int:
    """How many of a job's restarts came after a kill with no warning."""
    path = _warnings(folder, job)
    warned = len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
    return max(0, restarts - warned)


def _too_often(kills: int, retries: int) -> str:
    return f"killed {kills} times with no warning (launcher.retries={retries})"


def _run_folders(folder: Path, job: str) -> list[Path]:
    """The directories of a job's runs; the record may be written a little after it started."""
    end = time.monotonic() + _RECORD_SECONDS
    while time.monotonic() < end:
        if (folder / RECORD).exists():
            sweep = load(folder)
            points = sweep.points_of_jobs()
            if job in points:
                return [sweep.run_folder(index) for index in points[job]]
        time.sleep(0.2)
    return []


def after_setup(folder: Path, command: str, code: int) -> None:
    """In the batch script of a job whose setup has failed: say which command, in each run too."""
    from ppr.results.failure import note_failure

    job = job_id()
    if not still_running(job):
        return  # it is being cancelled
    how = f"failed with code {code}" if code else "ended the job"
    message = f"launcher.setup: {command!r} {how}"
    print(f"ppr: {message}", flush=True)
    for path in _run_folders(folder, job):
        note_failure(path, message)


def after_kill(folder: Path, retries: int, code: int) -> None:
    """In the batch script of a job whose process was killed: requeue it, or say why not."""
    from ppr.results.failure import note_failure

    job = job_id()
    if not still_running(job):
        return  # it is being cancelled or requeued: SLURM's doing, not a kill
    folders = _run_folders(folder, job)
    several = int(os.environ.get("SLURM_NTASKS", "1")) > 1
    if several and any((path / FAILURE).exists() for path in folders):
        return  # srun killed the other tasks of a run that has failed
    kills = unwarned(folder, job, int(os.environ.get("SLURM_RESTART_COUNT", "0"))) + 1
    how = f"killed by {signal.Signals(code - 128).name}"
    if kills <= retries:
        print(f"ppr: {how}; requeued, {kills} of {retries} retries", flush=True)
        slurm("scontrol", "requeue", job)
        return
    print(f"ppr: {how}; {_too_often(kills, retries)}", flush=True)
    for path in folders:
        note_failure(path, f"its job was {how}; {_too_often(kills, retries)}")


if __name__ == "__main__":
    what, record, first, number = sys.argv[1:]
    if what == "unprepared":
        after_setup(Path(record), first, int(number))
    else:
        after_kill(Path(record), int(first), int(number))
