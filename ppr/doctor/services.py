"""Checks of what ppr talks to: SLURM and W&B."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec

from ppr.doctor.finding import Finding
from ppr.errors import PprError

_SECONDS = 3.0


def cluster() -> Iterator[Finding]:
    """Whether `launcher=slurm` can submit, where to, and whether accounts are kept."""
    from ppr.launchers.queue import slurm

    lacking = [name for name in ("sbatch", "squeue", "sinfo") if shutil.which(name) is None]
    if len(lacking) == 3:
        yield Finding("slurm", "ok", "not on this machine; sweeps run here (launcher=local)")
        return
    if lacking:
        says = f"{', '.join(lacking)}: not on PATH"
        yield Finding("slurm", "warning", says, "launcher=slurm needs SLURM's client commands")
        return
    try:
        rows = slurm("sinfo", "-h", "-o", "%R|%a|%D", timeout=_SECONDS).split()
    except PprError as error:
        advice = "see whether slurmctld is up: scontrol ping"
        yield Finding("slurm", "warning", str(error), advice)
        return
    parts = [row.split("|") for row in rows]
    shown = [
        f"{name} ({nodes} nodes{'' if up == 'up' else f', {up}'})" for name, up, nodes in parts
    ]
    if shown:
        yield Finding("slurm", "ok", f"partitions: {', '.join(shown)}")
    else:
        yield Finding("slurm", "warning", "no partition is open to you", "ask for an account")
    try:
        slurm("sacct", "-n", "-X", "-o", "JobID", timeout=_SECONDS)
    except PprError:
        says = "none kept: `ppr sweep` asks squeue, which forgets jobs after some minutes"
        yield Finding("slurm accounts", "ok", says)
    else:
        yield Finding("slurm accounts", "ok", "kept (sacct answers)")


def wandb() -> Iterator[Finding]:
    """Whether `tracker=wandb` can be online; the key itself is not looked at."""
    from ppr.trackers.wandb_account import base_url, has_key, unreachable

    if find_spec("wandb") is None:
        return  # as `versions` says
    if not has_key():
        login = "for tracker=wandb: wandb login, or WANDB_API_KEY, or tracker.mode=offline"
        yield Finding("wandb key", "ok", f"none for {base_url()}", login)
        return
    yield Finding("wandb key", "ok", f"set for {base_url()}")
    failure = unreachable(_SECONDS)
    offline = "tracker.mode=offline, and `ppr track` where there is a network"
    if failure:
        yield Finding("wandb server", "warning", failure.removeprefix("W&B: "), offline)
    else:
        yield Finding("wandb server", "ok", f"{base_url()} answers")
