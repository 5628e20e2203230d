"""Runs of a sweep on this machine, several at a time.

Each is in a process of its own with its share of the cores and, where there are GPUs, one of them;
a process that is killed (out of memory, say) takes down its run alone, which then goes on from its
last checkpoint.
"""

from __future__ import annotations

import click

from ppr.display.terminal import count
from ppr.engine.interrupts import Interrupted, stop_on_signal
from ppr.fields import Count, Whole
from ppr.launchers.display import make_display
from ppr.launchers.launch import Order
from ppr.launchers.pool import run_tasks
from ppr.launchers.process import make_slots, visible_devices
from ppr.registry import component
from ppr.results.sweeps import LOCAL


@component("launcher")
class Local:
    """
    Args:
        jobs: runs at a time; unset: `jobs_per_device` on each GPU, or one where there is none.
        jobs_per_device: small runs that share a GPU.
        retries: times that a run whose process was killed goes on from its last checkpoint.
        confirm_above: sweeps of more runs than this ask for --yes.
    """

    def __init__(
        self,
        *,
        jobs: Count | None = None,
        jobs_per_device: Count = 1,
        retries: Whole = 1,
        confirm_above: Count = 1000,
    ) -> None:
        self.jobs, self.jobs_per_device, self.retries = jobs, jobs_per_device, retries

    def launch(self, order: Order) -> int:
        """Do the runs; 1 if any failed.

        Raises:
            Interrupted: a signal asked to stop; the runs under way have saved.
        """
        sweep = order.sweep
        sweep.submitted(order.launcher, {LOCAL: sorted(order.configs)})
        slots = self._slots(order)
        if not order.silent:
            click.echo(order.describe(len(slots)))
        with (
            stop_on_signal() as stop,
            make_display(sweep, order.total, order.silent) as display,
            order.tasks(LOCAL, display) as (tasks, told),
        ):
            run_tasks(tasks, slots, told, stop, retries=self.retries)
        if stop:
            left = order.total - display.over
            raise Interrupted(f"stopped, {count(left, 'run')} left; the same command goes on")
        failed = len(display.failures)
        if failed and not order.quiet:
            again = f"again: {order.sweep.command('retry')}"
            click.echo(f"ppr: {failed} of {count(order.total, 'run')} failed; {again}", err=True)
        return 1 if failed else 0

    def _slots(self, order: Order) -> list[dict[str, str]]:
        wanted = {config["engine"]["device"] for config in order.kinds}
        devices = visible_devices(wanted.pop()) if len(wanted) == 1 else []
        each = max(config["engine"]["devices"] for config in order.kinds)
        devices = [",".join(devices[i : i + each]) for i in range(0, len(devices) - each + 1, each)]
        return make_slots(self.jobs, devices, self.jobs_per_device)
