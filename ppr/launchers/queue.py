"""What SLURM says of jobs, with accounting or without it, and how to call its commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from ppr.errors import BadRequest, RunFailed

ACTIVE = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "RESIZING", "SUSPENDED"}
WAITING = {"PENDING", "CONFIGURING", "REQUEUED"}
_INPUT = ("SBATCH_", "SLURM_", "SRUN_", "SQUEUE_", "SINFO_", "SACCT_", "SCONTROL_", "SCANCEL_")
"""Variables that SLURM's commands take for options; most beat what a batch script says."""
_REACH = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT", "SLURM_SACK_SOCKET")
_DEFAULTS = ("account", "partition", "qos", "constraint", "reservation")
"""What a user's shell may say of every job, where the request says nothing of it."""


def environment(asked: Collection[str] = _DEFAULTS) -> dict[str, str]:
    """This process's environment, less what would beat the words of a request.

    `asked`: the options of sbatch that the request does say.
    """
    left = {f"SBATCH_{name.upper()}" for name in _DEFAULTS if name not in asked}
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_INPUT) or name in _REACH or name in left
    }


@contextmanager
def submitting(asked: Collection[str]) -> Iterator[None]:
    """Have that environment while the block runs, for an sbatch that another library calls."""
    before = dict(os.environ)
    kept = environment(asked)
    try:
        for name in before.keys() - kept.keys():
            del os.environ[name]
        yield
    finally:
        os.environ.update(before)


def slurm(command: str, *words: str, timeout: float = 60) -> str:
    """What a SLURM command prints.

    Raises:
        BadRequest: it is not on this machine.
        RunFailed: it refuses, or SLURM does not answer.
    """
    if shutil.which(command) is None:
        raise BadRequest(f"launcher=slurm: {command} is not on this machine; use a login node")
    try:
        done = subprocess.run(
            [command, *words],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{command}: SLURM does not answer") from None
    if done.returncode:
        raise RunFailed(one_line(done.stderr) or f"{command} ended with code {done.returncode}")
    return done.stdout


def one_line(message: str) -> str:
    """SLURM's complaint without its prefixes: lines `sbatch: error: a` and `…: b` are `a; b`."""
    lines = [line.split("error: ", 1)[-1].strip() for line in message.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))


def job_states(jobs: Iterable[str]) -> dict[str, str]:
    """Job id (`12`, or `12_3` in an array) -> state, of those that SLURM knows.

    squeue knows jobs under way and, for some minutes, those that ended; sacct the others, at sites
    that keep accounts.
    """
    from submitit.slurm.slurm import SlurmInfoWatcher

    wanted = set(jobs)
    found: dict[str, str] = {}
    arrays = ",".join(sorted({job.split("_")[0] for job in wanted}))
    questions = {
        "sacct": ["-n", "-X", "-P", "-o", "JobID,State", "-j", arrays],
        "squeue": ["-h", "-r", "-t", "all", "-o", "%i|%T", "-j", arrays],  # the fresher one last
    }
    for command, words in questions.items():
        try:
            answer = slurm(command, *words)
        except (BadRequest, RunFailed):  # no accounting here; a job that squeue has forgotten
            continue
        read = SlurmInfoWatcher().read_info(f"JobID|State\n{answer}")
        found |= {job: info["State"].split()[0] for job, info in read.items() if job in wanted}
    return found


def still_running(job: str) -> bool:
    """Whether SLURM means a job to go on: not if it is being cancelled, requeued or ended."""
    try:
        return slurm("squeue", "-h", "-j", job, "-o", "%T").strip() == "RUNNING"
    except RunFailed:
        return False
