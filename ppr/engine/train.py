"""Training with its evaluations: the best epoch on validation, the last on test, the untrained."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ppr.engine import distributed
from ppr.engine.bench import Bench, Outcome
from ppr.engine.checkpoints import WEIGHTS, load_weights, save_weights
from ppr.engine.device import autocast, describe_device, peak_memory
from ppr.engine.futile import of_the_start
from ppr.engine.learner import Learner
from ppr.engine.loop import Loop
from ppr.engine.requests import no_validation
from ppr.engine.samples import shown_samples
from ppr.engine.seeding import seed_everything
from ppr.engine.start import START, begin_from
from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.results.predictions import keep, keepers

BEST_WEIGHTS = "best.pt"
_log = logging.getLogger(__name__)


def train_and_evaluate(task: Learner, bench: Bench) -> Outcome:
    """Train `task`, keep its best epoch on validation, and evaluate on test.

    Raises:
        BadRequest: `engine.monitor` or an evaluator does not fit the task or the data.
    """
    training = Training(task, bench)
    try:
        training.loop.fit(training.monitor.after_epoch)
        return training.finish()
    finally:  # what is buffered of one broken off must not reach the log of who goes on with it
        training.loop.close()


class Training:
    """A task with what is done before and after its loop, which the caller lets run."""

    def __init__(self, task: Learner, bench: Bench) -> None:
        self.task, self.bench = task, bench
        task.to(bench.device)
        if bench.settings.channels_last:
            task.to(memory_format=torch.channels_last)
        if START in bench.values["inputs"]:
            begin_from(task, bench)
        task.begin()
        self.monitor = Monitor(task, bench)  # it and the loop refuse what cannot be had
        self.loop = Loop(task, bench)
        self.untrained = None
        if task.reports_untrained:
            bench.watcher.phase("evaluating the untrained encoder")
            self.untrained = evaluate(task, bench, "test", reported=False)
        seed_everything(bench.seed, "train", *distributed.own_stream())
        self.monitor.attach(self.loop)

    def finish(self) -> Outcome:
        """Keep the weights and evaluate the last epoch, and the best on validation, on test."""
        task, bench, loop = self.task, self.bench, self.loop
        if loop.ema is not None:
            task.load_state_dict(loop.ema.average)
        distributed.from_main(lambda: save_weights(bench.folder / WEIGHTS, task.state_dict()))
        bench.watcher.phase("evaluating the last epoch")
        metrics = evaluate(task, bench, "test")
        best = None
        if self.monitor.best:
            bench.watcher.phase("evaluating the best epoch")
            if distributed.is_main():  # evaluating begins with giving the others the same
                task.load_state_dict(load_weights(bench.folder / BEST_WEIGHTS))
            found = evaluate(task, bench, "test", reported=False)
            best = {**self.monitor.best, "metrics": found}
        loop.close()
        return Outcome(
            metrics=metrics,
            untrained=self.untrained,
            best=best,
            protocol=_protocol(task, bench, loop),
            data=bench.dataset.counts(),
            cost=_cost(task, bench, loop),
        )


Metrics = dict[str, dict[str, float]]
"""An evaluator's name -> a metric's -> its value."""


def evaluate(task: Learner, bench: Bench, split: str, *, reported: bool = True) -> Metrics:
    """Every evaluator of the config on a split, less what is undefined there (see `defined`).

    What is `reported`, and no other state of the network, has its predictions kept where asked.
    """
    return defined(measure(task, bench, split, reported=reported), split)


def defined(measured: Metrics, split: str) -> Metrics:
    """The metrics that came out a finite number, with a warning of those that did not.

    A mean over nothing, a ratio to nothing: such a metric is NaN. It is left out, and the others
    stay.
    """
    for name, values in measured.items():
        lacking = [metric for metric, value in values.items() if not math.isfinite(value)]
        if lacking:
            _log.warning(
                "evaluator.%s: %s: not a finite number on the %s split, so left out",
                name,
                ", ".join(lacking),
                split,
            )
    return {
        name: {metric: value for metric, value in values.items() if math.isfinite(value)}
        for name, values in measured.items()
    }


def measure(
    task: Learner, bench: Bench, split: str, only: str | None = None, *, reported: bool = False
) -> Metrics:
    """Every evaluator of the config (or one) on a split, as it comes."""
    distributed.synchronise(task)
    subject = Subject(
        encoder=task.encoder,
        classifier=task.classifier,
        network=task,
        dataset=bench.dataset,
        transform=task.augment.plain,
        train_transform=task.augment,
        pairs=getattr(task, "embed_pairs", None),
        draw=getattr(task, "sample", None),
        device=bench.device,
        autocast=lambda: autocast(bench.device, bench.precision),
        batch_size=max(bench.settings.batch_size, 256),
        workers=bench.settings.workers,
        seed=bench.seed,
        target_split=split,  # type: ignore[arg-type]
    )
    found = bench.evaluators()
    kept = {name for name in keepers(bench.values) if reported}
    values, facts = {}, {"split": split, "data": bench.dataset.digest}
    for name in found:
        if only in (None, name):
            with shown_samples(name in kept) as shown:
                values[name] = found[name](subject)
            for each in shown[-1:] if distributed.is_main() else ():
                keep(bench.folder, name, each, facts)
    return distributed.shared(values)


class Monitor:
    """Watches one metric on the validation split and keeps the weights of its best epoch."""

    def __init__(self, task: Learner, bench: Bench) -> None:
        self.task, self.bench = task, bench
        self.every = bench.settings.evaluate_every
        self.path = bench.settings.monitor
        self.name = (self.path or "").removeprefix("-").split("/", 1)[0]
        if not self.every:
            return
        names = list(bench.values["evaluator"])
        if self.path is None or self.name not in names:
            raise BadRequest(
                f"engine.monitor={self.path}: needs evaluator/metric of a chosen evaluator, after "
                "a minus where less of it is better; "
                f"allowed evaluators: {', '.join(names) or 'none chosen'}"
            )
        if bench.dataset.validation is None:
            raise BadRequest(no_validation(self.every, bench.dataset.name))

    def attach(self, loop: Loop) -> None:
        self.loop = loop

    @property
    def best(self) -> dict[str, Any]:
        """The best epoch so far; the loop keeps it, for it belongs to the checkpoint."""
        return self.loop.extra

    def after_epoch(self, epoch: int) -> None:
        """Evaluate on validation, log it, keep the weights if they are the best so far."""
        done = epoch + 1
        last = self.loop.step == self.loop.total
        if not self.every or (done % self.every and not last):
            return
        assert self.path is not None
        name, (_, _, metric) = self.name, self.path.partition("/")
        measured = measure(self.task, self.bench, "validation", only=name)
        if metric not in measured[name]:
            found = ", ".join(measured[name])
            raise BadRequest(f"engine.monitor={self.path}: {name} measures {found}")
        values = defined(measured, "validation")[name]
        logged = {f"validation/{name}/{key}": value for key, value in values.items()}
        self.loop.metrics.write({"step": self.loop.step, "epoch": done, **logged})
        self.loop.metrics.flush()  # who is told of it may look there, or end the run
        watcher = self.bench.watcher
        distributed.from_main(lambda: watcher.evaluated(self.loop.step, done, logged))
        sign = -1 if self.path.startswith("-") else 1
        if metric not in values:  # undefined this time
            return
        if "value" not in self.best or sign * values[metric] > sign * self.best["value"]:
            chosen = f"validation/{self.path.removeprefix('-')}"
            self.loop.extra = {"epoch": done, "chosen_by": chosen, "value": values[metric]}
            path = self.bench.folder / BEST_WEIGHTS
            distributed.from_main(lambda: save_weights(path, self.task.state_dict()))


def _protocol(task: Learner, bench: Bench, loop: Loop) -> dict[str, Any]:
    described = {
        name: evaluator.protocol()
        for name, evaluator in bench.evaluators().items()
        if hasattr(evaluator, "protocol")
    }
    return {
        "reported": "last epoch on the test split",
        "epochs": bench.settings.epochs,
        "steps": loop.step,
        "batch_size": bench.settings.batch_size,
        "precision": bench.precision,
        "skipped_steps": loop.skipped,
        "evaluators": described,
        **_parts(task, bench),
        **_average(bench.settings.ema_decay, loop.step),
    }


def _average(decay: float | None, steps: int) -> dict[str, Any]:
    """That the weights evaluated are an average, and how much of it the untrained ones are."""
    if not decay:
        return {}
    return {"ema_decay": decay, "untrained share of the average": of_the_start(decay, steps)}


def _parts(task: Learner, bench: Bench) -> dict[str, Any]:
    """Over how many devices a step was done, and what BatchNorm saw of its batch, where not all."""
    found: dict[str, Any] = {}
    devices, micro = distributed.size(), bench.settings.micro_batch
    seen = own = bench.settings.batch_size // devices
    if devices > 1:
        found["devices"] = devices
        if any(isinstance(part, _DropoutNd) for part in task.modules()):
            found["dropout"] = "drawn by each device"
    if micro is not None and micro < own:
        found["micro_batch"] = seen = micro
    if found and any(isinstance(part, _BatchNorm) for part in task.modules()):
        together = devices if bench.settings.sync_batchnorm else 1
        of = f"{together} devices" if together > 1 else "one device" if devices > 1 else "the batch"
        found["batch statistics over"] = f"{seen * together} samples of {of}"
    return found


def _cost(task: Learner, bench: Bench, loop: Loop) -> Mapping[str, Any]:
    samples = loop.step * bench.settings.batch_size
    return {
        "train_seconds": round(loop.seconds, 3),
        "samples_per_second": round(samples / max(loop.seconds, 1e-9), 1),
        "peak_memory_bytes": peak_memory(bench.device),
        "device": _devices(bench),
        "parameters": sum(p.numel() for p in task.parameters()),
    }


def _devices(bench: Bench) -> str:
    count = distributed.size()
    one = describe_device(bench.device)
    return one if count == 1 else f"{count} x {one}"
