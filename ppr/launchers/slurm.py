"""Runs of a sweep as a job array of a SLURM cluster, submitted through submitit and left to it.

submitit writes the batch script, its pickles and the log of each job, and requeues a job that is
about to be stopped; what is ppr's own is the sweep's record, by which `ppr sweep` finds the jobs
again, and the requeueing of jobs that were killed with no warning.
"""

from __future__ import annotations

import logging
import math
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from typing import Any, TypeVar

import click

from ppr.config.places import Extensions
from ppr.display.terminal import count
from ppr.errors import BadRequest, PprError, choices
from ppr.fields import Count, Positive, Whole
from ppr.launchers.batch import guarded, minutes, options, refuse_control, refuse_half, refuse_path
from ppr.launchers.job import Job, places
from ppr.launchers.launch import Order
from ppr.launchers.layout import tasks_per_node
from ppr.launchers.queue import one_line, slurm, submitting
from ppr.registry import component
from ppr.results.sweeps import JOBS

T = TypeVar("T")
_TRIALS_A_WORKER = 4
"""Of a study: who does fewer one after another learns little from those that ended."""


@component("launcher")
class Slurm:
    """
    Args:
        partition, account, constraint: as sbatch takes them; unset, SBATCH_PARTITION and the like
            hold. No other SBATCH_ or SLURM_ variable of the shell is heeded.
        time: limit of a job, in minutes or as SLURM writes it: "12:00:00", "2-00:00:00". A run that
            reaches it saves, is requeued and goes on.
        gpus: a node; as many as `engine.devices`, but for runs packed into a job.
        memory_gb: a node.
        cpus: a task.
        nodes: that a run trains on, `engine.devices` of each, one task a device.
        array_parallelism: jobs of the sweep that run at a time; of a search that learns from its
            trials, at most so many share its study, each doing four trials or more.
        setup: commands of the shell before the run, such as "module load cuda"; the job fails at
            the first that does.
        sbatch: further options of sbatch: {qos: long, exclusive: true}.
        runs_per_job: small runs packed into a job, `jobs` of them at a time.
        retries: times that a job killed with no warning goes on from its last checkpoint.
        requeues: times that a run is requeued at its time limit.
        signal_delay: seconds before the limit at which it is asked to save; SLURM itself may be up
            to a minute early.
        confirm_above: sweeps of more runs than this ask for --yes.
    """

    def __init__(
        self,
        *,
        partition: str | None = None,
        account: str | None = None,
        constraint: str | None = None,
        time: Count | str = 240,
        gpus: Whole = 0,
        memory_gb: Positive | None = None,
        cpus: Count | None = None,
        nodes: Count = 1,
        array_parallelism: Count = 256,
        setup: list[str] = [],  # noqa: B006  a field's default is a literal, and is not changed
        sbatch: dict[str, str | int | bool] = {},  # noqa: B006
        runs_per_job: Count = 1,
        jobs: Count = 1,
        retries: Whole = 2,
        requeues: Count = 100,
        signal_delay: Count = 90,
        confirm_above: Count = 1000,
    ) -> None:
        words = {"partition": partition, "account": account, "constraint": constraint}
        for name, word in words.items():
            refuse_control(name, word or "")
        self.minutes = minutes(time)
        further = options(sbatch)
        self.asked = {*further, *(name for name, word in words.items() if word)}
        self.setup, self.retries, self.requeues = setup, retries, requeues
        self.runs_per_job, self.jobs = runs_per_job, jobs
        self.nodes, self.gpus = nodes, gpus
        self.parallel = array_parallelism
        self.parameters = {
            "slurm_partition": partition,
            "slurm_account": account,
            "slurm_constraint": constraint,
            "timeout_min": self.minutes,
            "gpus_per_node": gpus or None,
            "mem_gb": memory_gb,
            "cpus_per_task": cpus,
            "nodes": nodes,
            "slurm_array_parallelism": array_parallelism,
            "slurm_signal_delay_s": signal_delay,
            "slurm_additional_parameters": further,
        }

    def launch(self, order: Order) -> int:
        """Submit the runs and leave.

        Raises:
            BadRequest: sbatch is not there or refuses, or the fields contradict each other; nothing
                is left submitted.
        """
        sweep = order.sweep
        new = not sweep.submissions
        try:
            jobs = self._submit(order)
        except PprError:
            if new:
                shutil.rmtree(sweep.folder, ignore_errors=True)
            raise
        sweep.submitted(order.launcher, jobs)
        if not order.silent:
            arrays = ", ".join(dict.fromkeys(job.split("_")[0] for job in jobs))
            click.echo(order.describe(1))
            click.echo(f"submitted as {count(len(jobs), 'job')} of SLURM: {arrays}")
            click.echo(f"  {sweep.command('status')}")
        return 0

    def _submit(self, order: Order) -> dict[str, Sequence[int]]:
        """Job id -> points. All arrays are accepted, or none stays."""
        sweep = order.sweep
        refuse_path(sweep.folder)
        for command in self.setup:
            refuse_half(command)
        executor = self._executor(order, self._tasks(order))
        packs = _cut(list(order.configs), self.runs_per_job) or self._shares(order)
        own, where = Extensions.present(), places()
        study = sweep if sweep.adaptive else None
        submitted: dict[str, Sequence[int]] = {}
        for array in _cut(packs, max_array_size()):
            configs = [{index: order.configs[index] for index in pack} for pack in array]
            calls = [
                Job(sweep.folder, part, own, where, self.retries, self.jobs, order.force, study)
                for part in configs
            ]
            try:
                # submitit prints what it also raises, and hands sbatch the shell's environment.
                with redirect_stderr(StringIO()), submitting(self.asked):
                    jobs = executor.submit_array(calls)
            except Exception as error:
                if submitted:
                    slurm("scancel", *{job.split("_")[0] for job in submitted})
                raise BadRequest(_refusal(error, self.parameters)) from None
            submitted |= {job.job_id: pack for job, pack in zip(jobs, array, strict=True)}
        return submitted

    def _shares(self, order: Order) -> list[Sequence[int]]:
        """The jobs that share a study; which trials each does is not known before."""
        most = math.ceil(order.trials / (_TRIALS_A_WORKER * self.jobs))
        return [() for _ in range(min(self.parallel, most))]

    def _tasks(self, order: Order) -> int:
        packed = f"launcher.runs_per_job={self.runs_per_job}" if self.runs_per_job > 1 else None
        engines = [config["engine"] for config in order.configs.values()]
        if order.sweep.adaptive:
            engines, packed = [], "a search"
        return tasks_per_node(engines, nodes=self.nodes, gpus=self.gpus, packed=packed)

    def _executor(self, order: Order, tasks: int) -> Any:
        try:
            import submitit
        except ModuleNotFoundError:
            raise BadRequest("launcher=slurm needs submitit: pip install 'ppr[slurm]'") from None
        slurm("sbatch", "--version")
        logging.getLogger("submitit").setLevel(logging.WARNING)
        folder = order.sweep.folder / JOBS
        executor = submitit.AutoExecutor(
            folder, cluster="slurm", slurm_max_num_timeout=self.requeues
        )
        module = [sys.executable, "-m", "ppr.launchers.job"]
        record = str(order.sweep.folder)
        again = shlex.join([*module, "killed", record, str(self.retries)])
        executor.update_parameters(
            name=f"ppr-{order.sweep.id}",
            slurm_setup=guarded(self.setup, shlex.join([*module, "unprepared", record])),
            tasks_per_node=tasks,
            slurm_srun_args=[
                "--export=ALL",  # what the script has, whatever a site hands on by default
                # The others of a run would wait for a task that is gone.
                *(["--kill-on-bad-exit=1"] if self.nodes * tasks > 1 else []),
            ],
            # After srun: a process that died of a signal is shown by a code of 128 + the signal.
            slurm_teardown=[
                "code=$?",
                f'if [ "$code" -gt 128 ] && [ "$code" -lt 160 ]; then {again} "$code"; fi',
                'exit "$code"',
            ],
            stderr_to_stdout=True,
            **{key: value for key, value in self.parameters.items() if value is not None},
        )
        return executor


def _cut(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def max_array_size() -> int:
    """The most jobs that one array may have here."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", slurm("scontrol", "show", "config"))
    return int(found[1]) if found else 1001  # SLURM's default


def _refusal(error: Exception, parameters: Mapping[str, Any]) -> str:
    """Why sbatch said no, on one line."""
    said = one_line(str(error))
    partition = parameters["slurm_partition"]
    if partition and "partition" in said:
        known = slurm("sinfo", "-h", "-o", "%R").split()
        what = f"launcher.partition={partition}: SLURM refuses it"
        return f"{what} ({said}); {choices(partition, known)}"
    return f"launcher=slurm: sbatch refuses: {said}"
