"""The settings of the training loop, each marked as science (in the run id) or machine (not)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, get_type_hints

from ppr.errors import BadRequest
from ppr.fields import BelowOne, Count, Literal, NonNegative, Positive
from ppr.registry import Field


def machine(default: Any) -> Any:
    """A setting of where and how fast a run is computed: it stays out of the run id."""
    return field(default=default, metadata={"machine": True})


@dataclass(frozen=True)
class EngineSettings:
    """How a run trains.

    Science:
        epochs: passes over the training split.
        max_steps: stop after so many optimizer steps, whatever `epochs` says.
        batch_size: samples (not views) a step, over all devices.
        precision: what autocast computes in; fp16 scales the loss. `auto` is bf16 where the device
            is fast at it, else fp16 on a GPU and fp32 on a CPU, and is settled before the id.
        tf32: let CUDA multiply fp32 matrices in TF32.
        accumulate: parts a batch is cut into, one backward pass each. Batch-wide losses see the
            parts, so contrastive tasks refuse it.
        clip_norm: largest global gradient norm.
        ema_decay: keep an exponential moving average of the weights and evaluate that. It begins
            with the untrained weights, which are ema_decay^steps of it at the end.
        nonfinite: what a NaN or infinite loss or gradient does: stop the run, or skip the step,
            which then leaves no trace but in the count. Steps that fp16's loss scale spoils are
            always skipped so.
        evaluate_every: epochs between evaluations on the validation split; 0 for none.
        monitor: the validation metric, as "knn/top1", whose best epoch is kept; after a minus,
            as "-perplexity/nll", that where it is least.
        sync_batchnorm: batch statistics over all devices, so that the numbers are those of one.
        micro_batch: samples whose activations are held at a time (gradient caching, Gao et al.
            2021, arXiv 2101.06983); the gradient is that of the whole batch. BatchNorm sees the
            micro-batch, hence this is science.

    Machine:
        device: auto picks cuda, then mps, then cpu.
        devices: of one machine that a run trains on, a process each, with equal shares of a batch;
            on a cluster, of each of `launcher.nodes`. Batches, augmentation, mixups and whatever
            else a step draws are those of one device; batch statistics without `sync_batchnorm`,
            dropout and a probe's own augmentation are not, which the protocol of the result says.
        seeds_per_process: seeds of one variant that train together in one process, vectorised.
        compile: torch.compile the model.
        channels_last: memory layout of image models.
        deterministic: refuse operations whose result varies from run to run.
        workers: loader processes for data sets that do not fit on the device.
        resident_gb: image sets up to this size are kept on the device as uint8.
        log_every: steps between readings of the metrics on the device.
        checkpoint_seconds: time between checkpoints (and one at each evaluation).
    """

    epochs: Count = 1
    max_steps: Count | None = None
    batch_size: Count = 256
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "fp32"
    tf32: bool = True
    accumulate: Count = 1
    clip_norm: Positive | None = None
    ema_decay: BelowOne | None = None
    nonfinite: Literal["stop", "skip"] = "stop"
    evaluate_every: int = 0
    monitor: str | None = None
    sync_batchnorm: bool = False
    micro_batch: Count | None = None

    device: str = machine("auto")
    devices: Count = machine(1)
    seeds_per_process: Count = machine(1)
    compile: bool = machine(False)
    channels_last: bool = machine(True)
    deterministic: bool = machine(False)
    workers: int = machine(2)
    resident_gb: NonNegative = machine(4.0)
    log_every: Count = machine(20)
    checkpoint_seconds: NonNegative = machine(60.0)


@cache
def engine_fields() -> dict[str, Field]:
    """The settings as the registry describes a component's fields."""
    hints = get_type_hints(EngineSettings, include_extras=True)
    return {
        item.name: Field(item.name, str(item.type), hints[item.name], item.default)
        for item in fields(EngineSettings)
    }


MACHINE_FIELDS = frozenset(f.name for f in fields(EngineSettings) if f.metadata.get("machine"))


def check_share(batch_size: int, devices: int) -> None:
    """Refuse a batch that cannot be shared out.

    Raises:
        BadRequest: `devices`, all in all, do not get equal shares.
    """
    if batch_size % devices:
        below = batch_size // devices * devices
        near = f"{below} or {below + devices}" if below else str(devices)
        what = f"{devices} devices take equal shares of it"
        raise BadRequest(f"engine.batch_size={batch_size}: {what}; use {near}")
