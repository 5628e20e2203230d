"""The hot loop: one path for every device and precision, resumable at any step.

A step draws a batch, augments it on the device, computes the outputs under autocast and the loss
in fp32, and updates the weights. Nothing in it reads a tensor back from the device: metrics pile up
there and are read every `log_every` steps.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppr.engine import distributed
from ppr.engine.batches import Batch, Batches, total_steps
from ppr.engine.bench import Bench
from ppr.engine.buffers import Kept, buffers_kept
from ppr.engine.checkpoints import checkpoints, load_checkpoint, save_checkpoint
from ppr.engine.device import autocast
from ppr.engine.ema import MovingAverage
from ppr.engine.futile import refuse_no_rate, warn_of_average
from ppr.engine.gradients import Gradients
from ppr.engine.interrupts import Interrupted
from ppr.engine.learner import Learner
from ppr.engine.meter import Meter
from ppr.engine.seeding import generator, random_states, restore_random_states
from ppr.engine.soundness import DEAD_AFTER, agreed, soundness
from ppr.engine.subject import evaluating
from ppr.engine.sync_batchnorm import synchronise_batchnorm
from ppr.errors import BadRequest, RunFailed
from ppr.optimizers.norms import clip
from ppr.optimizers.two_pass import TwoPass
from ppr.results.files import MetricsLog


class Loop:
    """Trains a task; `on_epoch(epoch)` is called after each.

    `sharing` is how many runs train in this process at once: each counts its share of the time.
    """

    sharing = 1

    def __init__(self, task: Learner, bench: Bench) -> None:
        settings = bench.settings
        if settings.sync_batchnorm and distributed.size() > 1:
            synchronise_batchnorm(task, bench.device)
        self.task, self.bench, self.settings, self.device = task, bench, settings, bench.device
        self.batches = Batches(
            bench.dataset.train,
            settings.batch_size,
            bench.seed,
            bench.device,
            sampler=bench.build("sampler") if bench.chosen("sampler") else None,
            embed=self._embed if hasattr(task, "embed_pairs") else None,
            workers=settings.workers,
            resident_gb=settings.resident_gb,
            parts=settings.accumulate,
        )
        per_epoch = self.batches.steps_per_epoch
        self.total = total_steps(per_epoch, settings.epochs, settings.max_steps)
        self.optimizer = bench.build("optimizer", task)
        self.factor: Callable[[int], float] = lambda step: 1.0
        if bench.chosen("schedule"):
            self.factor = bench.build("schedule", self.total, per_epoch)
        if not bench.values["data"]["synthetic"]:  # a smoke test is not there to learn
            refuse_no_rate(self.factor, self.total)
            warn_of_average(settings.ema_decay or 0.0, self.total)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(bench.device.type, enabled=bench.precision == "fp16")
        self.ema = MovingAverage(task, settings.ema_decay) if settings.ema_decay else None
        self.random = generator(bench.device, bench.seed, "augment")  # one for all devices
        self.gradients = Gradients(task, bench, self.scaler)
        self.metrics, self.timing = (
            MetricsLog(bench.folder / name if distributed.is_main() else os.devnull)
            for name in ("metrics.jsonl", "timing.jsonl")
        )
        self.meter = Meter()
        self.step = 0
        self.skips = settings.nonfinite == "skip" or self.scaler.is_enabled()
        self.skipped = 0
        self.skipped_since: int | None = None
        self.seconds = self._logged = 0.0
        self._since = self._saved = time.perf_counter()
        self.extra: dict[str, Any] = {}
        self._votes = distributed.Votes()

    def fit(self, on_epoch: Callable[[int], None]) -> None:
        """Train from where the newest checkpoint left off, or from the start.

        Raises:
            RunFailed: the loss or its gradient is not finite.
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
                due = time.perf_counter() - self._saved > self.settings.checkpoint_seconds
                stop, save = self._votes(bool(self.bench.stop), due)
                if stop or save:
                    self.save()
                if stop:
                    raise Interrupted(f"stopped at step {self.step} of {self.total}: saved")
                if self.step == self.total:
                    break
        self._votes.settle()

    def update(self, batch: Batch) -> None:
        """One optimizer step, or none where its loss or gradient is not finite and `skips` is set.

        What is not taken leaves no trace but in the count: weights, buffers, averages stay.
        """
        self.task.advance(self.step / self.total)
        self.optimizer.zero_grad(set_to_none=True)
        before = Kept(self.task) if self.skips else None
        values = self.backward(batch)
        sound = soundness(values["loss"], self.task.parameters())
        if before is not None and self._refused(*agreed(sound)):
            before.restore()
            return
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            clip(self.task.parameters(), self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            self.task.after_step()
        if self.ema is not None:
            self.ema.update()
        self.meter.add(self.step + 1, values, sound.all())

    def _refused(self, loss: bool, gradient: bool) -> bool:
        """Whether a step with such a loss and gradient, finite or not, is skipped; counts it then.

        Raises:
            RunFailed: nothing but skipped steps would follow.
        """
        if loss and gradient:
            self.skipped_since = None
            return False
        if not loss and self.settings.nonfinite == "stop":
            return False  # the run stops when it next reads its metrics
        if loss:  # too large a loss scale, perhaps: the scaler then takes a smaller one
            self.scaler.unscale_(self.optimizer)
            self.scaler.update()
        self.skipped += 1
        if self.skipped_since is None:
            self.skipped_since = self.step
        in_a_row, lr = self.step + 1 - self.skipped_since, self._rate(self.skipped_since)
        ends = self.step + 1 == self.total and not self.scaler.is_enabled()
        if in_a_row >= DEAD_AFTER or (ends and in_a_row >= self.batches.steps_per_epoch):
            raise RunFailed(
                f"every step from step {self.skipped_since + 1} to {self.step + 1} was skipped: "
                f"the {'gradient' if loss else 'loss'} is not finite (learning rate {lr:.4g}); "
                "try a smaller optimizer.lr or engine.clip_norm"
            )
        return True

    def backward(self, batch: Batch) -> dict[str, Tensor]:
        """Add the gradient of a batch to the parameters; the loss and what is logged beside it.

        For an optimizer of two passes that is the gradient where its `ascend` has gone, with the
        random numbers of the first pass; what the second pass writes into buffers is undone. Its
        loss is not logged, but stands for the first one's where it is not finite.
        """
        if not isinstance(self.optimizer, TwoPass):
            return self.gradients.backward(batch, self.random)
        drawn = self.random.get_state(), random_states(self.device)
        values = self.gradients.backward(batch, self.random)
        self.optimizer.ascend()
        self.optimizer.zero_grad(set_to_none=True)
        self.random.set_state(drawn[0])
        restore_random_states(drawn[1], self.device)
        with buffers_kept(self.task):
            there = self.gradients.backward(batch, self.random)["loss"]
        self.optimizer.descend()
        return values | {"loss": torch.where(there.isfinite(), values["loss"], there)}

    @torch.no_grad()
    def _embed(self, inputs: Tensor, random: torch.Generator) -> Tensor:
        """What a sampler chooses batches by: pairs [N, 2, D], as an evaluation would see them."""
        task: Any = self.task
        with evaluating(task), autocast(self.device, self.bench.precision):
            pairs: Tensor = task.embed_pairs(inputs, random)
        return pairs.float()

    def _rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return float(self.base_rates[0] * self.factor(step))

    def set_rate(self) -> None:
        factor = self.factor(self.step)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    def close(self) -> None:
        """Write what is buffered, and no more: what is broken off leaves no line for later."""
        self.metrics.close()
        self.timing.close()

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
        self.seconds += (now - self._since) / self.sharing
        self._since = now

    def _check_finite(self) -> None:
        found = self.meter.first_unsound()
        if found is not None:
            step, loss = found
            what, lr = "gradient" if math.isfinite(loss) else "loss", self._rate(step - 1)
            saved: list[Path] = checkpoints(self.bench.folder / "checkpoints")
            last = str(saved[0]) if saved else "none yet"
            raise RunFailed(
                f"the {what} is not finite at step {step} (learning rate {lr:.4g}); last good "
                f"checkpoint: {last}; try a smaller optimizer.lr or engine.clip_norm, or, where "
                "single batches are to blame, engine.nonfinite=skip"
            )

    def save(self) -> None:
        """Write a checkpoint of all that the next step depends on."""
        self._check_finite()
        self._count_time()
        random = {"augment": self.random.get_state(), **random_states(self.device)}
        first, *others = distributed.gathered(random)
        state = {
            "step": self.step,
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": self.ema.average if self.ema else None,
            "random": first,
            "random_of_others": others,
            "meter": self.meter.state(),
            "seconds": self.seconds,
            "skipped": self.skipped,
            "skipped_since": self.skipped_since,
            "chosen": self.batches.chosen,
            "extra": self.extra,
        }
        folder = self.bench.folder / "checkpoints"
        distributed.from_main(lambda: save_checkpoint(folder, self.step, state, self.metrics))
        self._saved = time.perf_counter()

    def resume(self) -> None:
        """Take up the newest whole checkpoint; forget what was logged after it.

        Raises:
            BadRequest: it was made on another number of devices, whose random numbers differ.
            RunFailed: the processes of the run do not see the same one; or what it holds is not
                what this code saves.
        """
        state = load_checkpoint(self.bench.folder / "checkpoints")
        if len(set(distributed.gathered(state and state["step"]))) > 1:
            raise RunFailed(
                f"{self.bench.folder}: not the same checkpoint on every machine; results.root must "
                "be on a file system that they share"
            )
        if state is None:
            if distributed.is_main():
                self.metrics.truncate(0)
                self.timing.truncate(0)
            return
        streams = [state["random"], *state.get("random_of_others", [])]
        if len(streams) != distributed.size():
            raise BadRequest(
                f"the checkpoint at step {state['step']} was made on {len(streams)} devices, this "
                f"run has {distributed.size()}; go on with as many, or start again with --force"
            )
        if distributed.is_main():
            self.metrics.truncate(state["log"]["bytes"])
        try:
            self._take(state, streams[distributed.rank()])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise RunFailed(
                f"the checkpoint at step {state['step']} is not of this run as its code is now "
                f"({str(error).strip().splitlines()[0]}); start again with --force"
            ) from error

    def _take(self, state: dict[str, Any], random: dict[str, Any]) -> None:
        self.step = state["step"]
        self.task.load_state_dict(state["task"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load(state["ema"])
        self.random.set_state(random.pop("augment"))
        restore_random_states(random, self.device)
        self.meter.load(state["meter"], self.device)
        self.seconds = state["seconds"]
        self.skipped = state["skipped"]
        self.skipped_since = state["skipped_since"]
        self.batches.chosen = state["chosen"]
        self.extra = state["extra"]
