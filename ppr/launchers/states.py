"""Where each run of a sweep stands: the results tree first, then the queue that it was sent to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ppr.errors import RunFailed
from ppr.launchers.queue import ACTIVE, WAITING, job_states
from ppr.results import tree
from ppr.results.failure import read_failure
from ppr.results.lock import is_held
from ppr.results.summary import read_summary
from ppr.results.sweeps import LOCAL, Sweep

UNDER_WAY = {"running", "queued"}
STATES = (
    "finished", "pruned", "running", "queued", "failed", "damaged", "cancelled", "interrupted",
    "not started",
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """A run's state, the job that it was sent to, its log, and what went wrong."""

    state: str
    job: str
    log: Path
    error: str = ""


def states(sweep: Sweep) -> dict[int, Standing]:
    """The standing of every point."""
    jobs = sweep.jobs()
    sent = set(jobs.values()) - {LOCAL}
    queue = job_states(sent) if sent else {}
    shared = sweep.points_of_jobs().items()
    packed = {job for job, points in shared if len(points) > 1 or sweep.adaptive} | {LOCAL}
    if is_held(sweep.folder):  # the process that does the sweep's runs on this machine is alive
        queue[LOCAL] = "RUNNING"
    found = {}
    for index in range(len(sweep.points)):
        job = jobs.get(index, LOCAL)
        said = queue.get(job, "CANCELLED" if sweep.cancelled and job != LOCAL else "")
        run = tree.state(sweep.run_folder(index))
        state = _state(run, said, job in packed)
        error = _error(sweep.run_folder(index), said) if state in ("failed", "damaged") else ""
        own = job in packed and (job == LOCAL or sweep.local_log(index).exists())
        log = sweep.local_log(index) if own else sweep.job_log(job)
        found[index] = Standing(state, job, log, error)
    return found


def under_way(sweep: Sweep) -> set[str]:
    """The jobs of a sweep that are running or queued, whether or not they have a point yet."""
    sent = set(sweep.points_of_jobs()) - {LOCAL}
    found = {job for job, said in job_states(sent).items() if said in ACTIVE} if sent else set()
    return found | ({LOCAL} if is_held(sweep.folder) else set())


def taken(sweep: Sweep) -> set[int]:
    """The points that the sweep's own processes or jobs are at, or will come to.

    Not those that another sweep or a process without a parent is at: nobody here does them.
    """
    alive = under_way(sweep) if sweep.submissions else set()
    if not alive:
        return set()
    found = states(sweep).items()
    return {index for index, at in found if at.state in UNDER_WAY and at.job in alive}


def _state(run: str, said: str, packed: bool) -> str:
    """A run's state, from the results tree's word for it and SLURM's for its job."""
    if run in ("finished", "running", "pruned", "damaged"):
        return run
    if said in WAITING:
        return "queued"
    if run == "failed":
        return "failed"
    if said in ACTIVE:  # runs packed into a job, or done here, begin one after another
        return "queued" if packed else "running"
    if said not in ("", "COMPLETED"):
        return "cancelled" if said == "CANCELLED" else "failed"
    return "not started" if run == "absent" else run


def _error(folder: Path, said: str) -> str:
    """Why a run has no summary that can be used."""
    try:
        read_summary(folder)
    except RunFailed as error:
        return str(error)
    # It was never started, or killed, or its node died: then the queue alone knows.
    return read_failure(folder) or f"SLURM: {said}"
