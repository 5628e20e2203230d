"""The hot loop: one path for every device and precision, resumable at any step.

A step draws a batch, augments it on the device, computes the outputs under autocast and the loss
in fp32, and updates the weights. Nothing in it reads a tensor back from the device: metrics pile up
there and are read every `log_every` steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppr.engine.batches import Batch, Batches, total_steps
from ppr.engine.checkpoints import checkpoints, load_checkpoint, save_checkpoint
from ppr.engine.device import autocast
from ppr.engine.ema import MovingAverage
from ppr.engine.interrupts import Interrupted
from ppr.engine.meter import Meter
from ppr.engine.seeding import generator, random_states, restore_random_states
from ppr.errors import BadRequest, RunFailed
from ppr.results.files import MetricsLog
from ppr.tasks.bench import Bench
from ppr.tasks.training import TrainingTask


class Loop:
    """Trains a task; `on_epoch(epoch)` is called after each."""

    def __init__(self, task: TrainingTask, bench: Bench) -> None:
        settings = bench.settings
        if settings.accumulate > 1 and task.batch_wide:
            why = "the task's loss compares the samples of a whole batch, which cannot be cut"
            raise BadRequest(f"engine.accumulate={settings.accumulate}: {why}; allowed: 1")
        self.task, self.bench, self.settings, self.device = task, bench, settings, bench.device
        self.batches = Batches(
            bench.dataset.train,
            settings.batch_size,
            bench.seed,
            bench.device,
            sampler=bench.build("sampler") if bench.chosen("sampler") else None,
            workers=settings.workers,
            resident_gb=settings.resident_gb,
        )
        per_epoch = self.batches.steps_per_epoch
        self.total = total_steps(per_epoch, settings.epochs, settings.max_steps)
        self.optimizer = bench.build("optimizer", task)
        self.factor: Callable[[int], float] = lambda step: 1.0
        if bench.chosen("schedule"):
            self.factor = bench.build("schedule", self.total, per_epoch)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(bench.device.type, enabled=bench.precision == "fp16")
        self.ema = MovingAverage(task, settings.ema_decay) if settings.ema_decay else None
        self.random = generator(bench.device, bench.seed, "augment")
        self.metrics = MetricsLog(bench.folder / "metrics.jsonl")
        self.timing = MetricsLog(bench.folder / "timing.jsonl")
        self.meter = Meter()
        self.step = 0
        self.skipped = 0
        self.seconds = self._logged = 0.0
        self._since = self._saved = time.perf_counter()
        self.extra: dict[str, Any] = {}
        self._model = torch.compile(task) if settings.compile else task

    def fit(self, on_epoch: Callable[[int], None]) -> None:
        """Train from where the newest checkpoint left off, or from the start.

        Raises:
            RunFailed: the loss is not finite.
            Interrupted: a signal asked to stop; a checkpoint has been saved.
        """
        self.resume()
        self.bench.watcher.started(self.total, self.batches.steps_per_epoch, self.step)
        self._since = self._saved = time.perf_counter()
        self._logged = self.seconds
        self.task.train()
        while self.step < self.total:
            epoch, start = divmod(self.step, self.batches.steps_per_epoch)
            for batch in self.batches.epoch(epoch, start):
                self.set_rate()
                self.update(batch)
                self.step += 1
                if self.step % self.settings.log_every == 0 or self.step == self.total:
                    self.log()
                if self.step % self.batches.steps_per_epoch == 0 or self.step == self.total:
                    self.end_epoch(epoch, on_epoch)
                if self.bench.stop:
                    self.save()
                    raise Interrupted(f"stopped at step {self.step} of {self.total}: saved")
                if time.perf_counter() - self._saved > self.settings.checkpoint_seconds:
                    self.save()
                if self.step == self.total:
                    break

    def update(self, batch: Batch) -> None:
        """One optimizer step."""
        self.optimizer.zero_grad(set_to_none=True)
        values = self.backward(batch)
        if self.settings.nonfinite == "skip" and not bool(torch.isfinite(values["loss"])):
            self.skipped += 1  # this option costs a device synchronisation a step
            return
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.task.parameters(), self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema is not None:
            self.ema.update()
        self.meter.add(values)

    def backward(self, batch: Batch) -> dict[str, Tensor]:
        """Accumulate the gradient of a batch, in as many parts as `accumulate` says."""
        parts = self.settings.accumulate
        if parts == 1:
            return self._backward(batch, 1)
        cuts = zip(
            *(x.chunk(parts) for x in (batch.inputs, batch.targets, batch.indices)), strict=True
        )
        values = [self._backward(Batch(*cut), len(cut[0]) / len(batch.inputs)) for cut in cuts]
        return {key: torch.stack([part[key] for part in values]).mean() for key in values[0]}

    def _backward(self, batch: Batch, share: float) -> dict[str, Tensor]:
        inputs = self.task.prepare(batch, self.random)
        if self.settings.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.bench.precision):
            outputs = self._model(inputs)
        values = self.task.loss(outputs.float(), batch)
        torch.autograd.backward(self.scaler.scale(values["loss"] * share))
        return {key: value.detach() for key, value in values.items()}

    def set_rate(self) -> None:
        factor = self.factor(self.step)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    def log(self) -> None:
        """Read the metrics of the last steps from the device, check them, write their means."""
        self._check_finite()
        self._count_time()
        trained = self.meter.steps * self.settings.batch_size
        rate = trained / max(self.seconds - self._logged, 1e-9)
        self._logged = self.seconds
        epoch = round(self.step / self.batches.steps_per_epoch, 4)
        lr = self.optimizer.param_groups[0]["lr"]
        values = {f"train/{key}": value for key, value in self.meter.flush().items()} | {"lr": lr}
        self.metrics.write({"step": self.step, "epoch": epoch, **values})
        self.timing.write({"step": self.step, "seconds": self.seconds, "samples_per_second": rate})
        self.bench.watcher.stepped(self.step, epoch, values, rate)

    def end_epoch(self, epoch: int, on_epoch: Callable[[int], None]) -> None:
        self._count_time()
        if self.ema is None:
            on_epoch(epoch)
        else:
            with self.ema.applied():
                on_epoch(epoch)
        self.task.train()
        self._since = time.perf_counter()

    def _count_time(self) -> None:
        """Add what has passed since the last call to the time spent training."""
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now

    def _check_finite(self) -> None:
        back = self.meter.first_nonfinite()
        if back is not None:
            step = self.step - self.meter.steps + back
            lr = self.base_rates[0] * self.factor(step)
            saved: list[Path] = checkpoints(self.bench.folder / "checkpoints")
            last = str(saved[0]) if saved else "none yet"
            raise RunFailed(
                f"the loss is not finite at step {step + 1} (learning rate {lr:.4g}); last good "
                f"checkpoint: {last}; try a smaller optimizer.lr, engine.clip_norm or "
                "engine.nonfinite=skip"
            )

    def save(self) -> None:
        """Write a checkpoint of all that the next step depends on."""
        self._check_finite()
        self._count_time()
        state = {
            "step": self.step,
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": self.ema.average if self.ema else None,
            "random": {"augment": self.random.get_state(), **random_states(self.device)},
            "meter": self.meter.state(),
            "metrics_bytes": self.metrics.offset,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "extra": self.extra,
        }
        save_checkpoint(self.bench.folder / "checkpoints", self.step, state)
        self._saved = time.perf_counter()

    def resume(self) -> None:
        """Take up the newest whole checkpoint; forget what was logged after it."""
        state = load_checkpoint(self.bench.folder / "checkpoints")
        if state is None:
            self.metrics.truncate(0)
            self.timing.truncate(0)
            return
        self.step = state["step"]
        self.task.load_state_dict(state["task"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load(state["ema"])
        self.random.set_state(state["random"].pop("augment"))
        restore_random_states(state["random"], self.device)
        self.meter.load(state["meter"], self.device)
        self.metrics.truncate(state["metrics_bytes"])
        self.seconds = state["seconds"]
        self.skipped = state["skipped"]
        self.extra = state["extra"]
