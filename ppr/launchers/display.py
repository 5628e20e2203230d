"""One display for a whole sweep: live bars on a terminal, a line a run elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from ppr.display.terminal import text
from ppr.launchers.pool import Display, Task
from ppr.results.metrics import after_last_epoch, metrics
from ppr.results.sweeps import Sweep


class Tally(Display):
    """Counts what became of the runs and keeps the summaries."""

    def __init__(self, sweep: Sweep, total: int) -> None:
        self.sweep, self.total = sweep, total
        self.summaries: dict[int, Mapping[str, Any]] = {}
        self.failures: dict[int, str] = {}
        self.cut = 0

    def finished(self, task: Task, summary: Mapping[str, Any]) -> None:
        self.summaries[task.index] = summary
        # A search goes by validation, and so does who watches it.
        metric = _best_metric(summary) if self.sweep.search else _first_metric(summary)
        seconds = metrics(summary).get("cost/seconds")
        self.say(task, f"{metric}{'done' if seconds is None else f'{seconds:.1f} s'}")

    def failed(self, task: Task, error: str, again: bool) -> None:
        if again:
            self.say(task, f"{error}; it goes on from its last checkpoint", err=True)
            return
        self.failures[task.index] = error
        self.say(task, f"FAILED  {error}  (log: {task.log})", err=True)

    def pruned(self, task: Task, why: str) -> None:
        self.cut += 1
        self.say(task, why)

    @property
    def over(self) -> int:
        """How many runs are done with: all but those that were asked to stop, or are to come."""
        return len(self.summaries) + len(self.failures) + self.cut

    def waits(self, task: Task, why: str) -> None:
        self.say(task, f"{why}; it comes last")

    def interrupted(self, task: Task) -> None:
        self.say(task, "stopped, saved")

    def say(self, task: Task, what: str, err: bool = False) -> None:
        """Nothing when quiet, but errors."""
        if err:
            click.echo(f"ppr: {self.sweep.label(task.index)}: {what}", err=True)


class Lines(Tally):
    """A line for each run that ends."""

    def say(self, task: Task, what: str, err: bool = False) -> None:
        line = f"[{self.over}/{self.total}] {self.sweep.label(task.index)}  {what}"
        click.echo(line, err=err)


class Bars(Tally):
    """A bar for the sweep, one below it for each run under way, and the runs that ended above."""

    def __init__(self, sweep: Sweep, total: int, progress: Any) -> None:
        super().__init__(sweep, total)
        self.progress = progress
        self.whole = progress.add_task(f"sweep {sweep.id}", total=total)
        self.bars: dict[int, Any] = {}

    def started(self, task: Task) -> None:
        label = self.sweep.label(task.index)
        self.bars[task.index] = self.progress.add_task(f"  {label}", total=None)

    def stepped(self, task: Task, step: int, total: int) -> None:
        self.progress.update(self.bars[task.index], completed=step, total=total)

    def say(self, task: Task, what: str, err: bool = False) -> None:
        from rich.text import Text

        self.progress.remove_task(self.bars.pop(task.index))
        self.progress.update(self.whole, completed=self.over)
        line = f"{self.sweep.label(task.index)}  {what}"
        self.progress.console.print(Text(line, style="red" if err else ""), soft_wrap=True)


def _first_metric(summary: Mapping[str, Any]) -> str:
    return next((f"{path} {text(v)}  " for path, v in after_last_epoch(summary).items()), "")


def _best_metric(summary: Mapping[str, Any]) -> str:
    best = summary.get("best") or {}
    return f"{best.get('chosen_by')} {text(best.get('value'))}  " if best else ""


@contextmanager
def make_display(sweep: Sweep, total: int, silent: bool) -> Iterator[Tally]:
    """The display that suits standard output."""
    if silent:
        yield Tally(sweep, total)
        return
    if not sys.stdout.isatty():
        yield Lines(sweep, total)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        yield Bars(sweep, total, progress)
