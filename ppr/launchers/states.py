"""Where each run of a sweep stands: the results tree first, then the queue that it was sent to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppr.errors import RunFailed
from ppr.launchers.queue import ACTIVE, WAITING, job_states
from ppr.launchers.sweep import LOCAL, Sweep
from ppr.results import tree
from ppr.results.files import read_json
from ppr.results.lock import is_held

UNDER_WAY = {"running", "queued"}
STATES = ("finished", "running", "queued", "failed", "cancelled", "interrupted", "not started")


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
    here = is_held(sweep.folder)  # the process that does the sweep's runs on this machine is alive
    alone = {job for job, points in sweep.points_of_jobs().items() if len(points) == 1}
    return {
        index: _standing(sweep, index, jobs.get(index, LOCAL), queue, alone, here)
        for index in range(len(sweep.points))
    }


def _standing(
    sweep: Sweep, index: int, job: str, queue: Mapping[str, str], alone: set[str], here: bool
) -> Standing:
    folder = sweep.run_folder(index)
    log = sweep.local_log(index) if job == LOCAL else sweep.job_log(job)
    run = tree.state(folder)
    said = queue.get(job, "")
    if run in ("finished", "running"):
        return Standing(run, job, log)
    if said in WAITING or (job == LOCAL and here and run != "failed"):
        return Standing("queued", job, log)
    if said in ACTIVE and run != "failed":
        # Several runs packed into a job begin one after another.
        return Standing("running" if job in alone else "queued", job, log)
    if run == "failed":
        return Standing("failed", job, log, _failure(folder))
    if said == "CANCELLED" or (sweep.cancelled and not said):
        return Standing("cancelled", job, log)
    if said and said != "COMPLETED":
        return Standing("failed", job, log, f"SLURM: {said}")
    return Standing("not started" if run == "absent" else run, job, log)


def _failure(folder: Path) -> str:
    try:
        failure: Any = read_json(folder / tree.FAILURE)
        return str(failure["error"])
    except (RunFailed, KeyError, TypeError):  # it is being started again at this moment
        return ""
