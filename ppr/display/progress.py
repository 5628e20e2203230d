"""A run's progress: a live bar on a terminal, a line an epoch elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ppr.engine.bench import Watcher

_LINE_SECONDS = 5.0


def _title(config: Any) -> str:
    return f"{config.experiment} seed {config.seed} ({config.variant})"


def _words(values: Mapping[str, float]) -> str:
    shown = {k.removeprefix("train/").removeprefix("validation/"): v for k, v in values.items()}
    return "  ".join(f"{key} {value:.4g}" for key, value in shown.items() if key != "lr")


class PlainWatcher(Watcher):
    """Lines without control characters, at most one every few seconds, and one an evaluation."""

    def __init__(self) -> None:
        self._last = 0.0
        self._total = 0
        self._epochs = 0.0

    def started(self, steps: int, steps_per_epoch: int, at: int) -> None:
        self._total, self._epochs = steps, steps / max(steps_per_epoch, 1)
        if at:
            self._say(f"resumed at step {at} of {steps}")

    def stepped(self, step: int, epoch: float, values: Mapping[str, float], rate: float) -> None:
        now = time.monotonic()
        if now - self._last >= _LINE_SECONDS or step == self._total:
            self._last = now
            at = f"epoch {epoch:.2f}/{self._epochs:g}  step {step}/{self._total}"
            self._say(f"{at}  {_words(values)}  {rate:,.0f} samples/s")

    def evaluated(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        self._say(f"epoch {epoch:g}  validation  {_words(values)}")

    def phase(self, what: str) -> None:
        self._say(what)

    def _say(self, line: str) -> None:
        print(line, flush=True)


class RichWatcher(Watcher):
    """A progress bar with epoch, loss, samples a second and the time left."""

    def __init__(self, progress: Any, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, words="", rate="")

    def started(self, steps: int, steps_per_epoch: int, at: int) -> None:
        self._epochs = steps / max(steps_per_epoch, 1)
        self._progress.update(self._task, total=steps, completed=at)

    def stepped(self, step: int, epoch: float, values: Mapping[str, float], rate: float) -> None:
        words = f"epoch {epoch:.1f}/{self._epochs:g}  {_words(values)}"
        shown = {"completed": step, "words": words, "rate": f"{rate:,.0f} samples/s"}
        self._progress.update(self._task, **shown)

    def evaluated(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        line = f"epoch {epoch:g}  validation  {_words(values)}"
        self._progress.console.print(line, style="dim", markup=False)

    def phase(self, what: str) -> None:
        self._progress.update(self._task, words=what, rate="")


@contextmanager
def make_watcher(config: Any, silent: bool) -> Iterator[Watcher]:
    """The watcher that suits standard output."""
    if silent:
        yield Watcher()
        return
    if not sys.stdout.isatty():
        yield PlainWatcher()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[words]}", markup=False),
        TextColumn("{task.fields[rate]}", style="cyan"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        yield RichWatcher(progress, _title(config))
