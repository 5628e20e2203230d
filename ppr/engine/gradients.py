"""The gradient of a batch: at once, in parts, or by gradient caching; on one device or several.

Each device has its share of the batch and makes its outputs; they are gathered, so that the loss
is that of the global batch on every device, and the gradient goes back through the gathering into
each device's own part (see `distributed.gather`). So loss and gradient are those of one device
with the whole batch, whether or not the loss compares samples.

Gradient caching (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup", arXiv 2101.06983, section 3.2; `engine.micro_batch`):

    1. outputs of the whole batch, a micro-batch at a time, without a graph
    2. the loss of all outputs, and its gradient with respect to each output
    3. each micro-batch again with a graph and the same random numbers, its part of that gradient
       propagated to the weights, where the parts add up

holds the activations of one micro-batch only, at the price of a second forward pass. The gradient
is exactly that of the whole batch for a network that treats samples one by one. BatchNorm does
not: it normalises over the micro-batch, in both passes alike. What a forward pass writes (running
statistics, the vectors of spectral norm) it writes once for each micro-batch: the first pass leaves
no trace, and the second sees what the first has seen.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ppr.data.dataset import Split
from ppr.engine import distributed
from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.buffers import buffers_kept
from ppr.engine.device import autocast
from ppr.engine.draws import OwnRows
from ppr.engine.learner import Learner
from ppr.engine.requests import refuse_parts
from ppr.engine.seeding import generator, random_states, restore_random_states
from ppr.errors import BadRequest


class Gradients:
    """Adds the gradient of a batch to the parameters of a task.

    Raises:
        BadRequest: `engine.accumulate` or `engine.micro_batch` does not suit the task.
    """

    def __init__(self, task: Learner, bench: Bench, scaler: torch.amp.GradScaler) -> None:
        settings = bench.settings
        _check_parts(task, settings.accumulate, settings.micro_batch)
        refuse_parts(settings.batch_size, distributed.size(), settings.accumulate)
        self.task, self.bench, self.settings, self.scaler = task, bench, settings, scaler
        self.device = bench.device
        self.network: Any = torch.compile(task) if settings.compile else task
        self.replica: Any = self.network
        if distributed.size() > 1:
            self.replica = _replicated(self.network, self.device)
        self._refuse_lone_samples()

    def _refuse_lone_samples(self) -> None:
        """Refuse parts of one row that batch norm cannot normalise, before training.

        Whether it can depends on the network: an image's pixels have a variance. So one row is
        tried, where there would be such a part.
        """
        settings = self.settings
        share = settings.batch_size // distributed.size() // settings.accumulate
        micro = min(settings.micro_batch or share, share)
        least = share % micro or micro
        if least * self.task.views > 1:
            return
        split, first = self.bench.dataset.train, torch.arange(1)
        rows: Any = split.inputs[:1] if isinstance(split, Split) else split.load(first)[0]
        parts = (rows, split.targets[:1], first)
        batch = Batch(*(part.to(self.device) for part in parts))
        drawn = random_states(self.device)
        self.task.train()
        try:
            with torch.no_grad(), buffers_kept(self.task):
                self._outputs(self.task, self.task.prepare(batch, generator(self.device, 0)))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise BadRequest(
                f"engine.batch_size={settings.batch_size}: batch norm would be given a part of one "
                f"sample (accumulate={settings.accumulate}, micro_batch={settings.micro_batch}, "
                f"devices={distributed.size()}), which has no variance; use parts of two or more"
            ) from None
        finally:
            restore_random_states(drawn, self.device)

    def backward(self, batch: Batch, random: torch.Generator) -> dict[str, Tensor]:
        """The loss of a batch, and what the task logs beside it."""
        parts, micro = self.settings.accumulate, self.settings.micro_batch
        if micro is not None and micro < len(batch.inputs):
            return self._cached(batch, random, micro)
        if parts == 1:
            return self._whole(batch, random)
        cuts = [
            Batch(*cut)
            for cut in zip(
                *(x.chunk(parts) for x in (batch.inputs, batch.targets, batch.indices)),
                strict=True,
            )
        ]
        values = [
            self._whole(cut, random, len(cut.inputs) / len(batch.inputs), last=cut is cuts[-1])
            for cut in cuts
        ]
        return {key: torch.stack([part[key] for part in values]).mean() for key in values[0]}

    def _whole(
        self, batch: Batch, random: torch.Generator, weight: float = 1, last: bool = True
    ) -> dict[str, Tensor]:
        inputs, batch = self._prepared(batch, random)
        with self._exchange(last):
            values = self._loss(self._outputs(self.replica, inputs), batch)
            torch.autograd.backward(self.scaler.scale(values["loss"] * weight))
        return {key: value.detach() for key, value in values.items()}

    def _cached(self, batch: Batch, random: torch.Generator, micro: int) -> dict[str, Tensor]:
        inputs, batch = self._prepared(batch, random)
        cuts = torch.split(self._by_sample(inputs), micro, dim=1)
        states, outputs = [], []
        with torch.no_grad(), buffers_kept(self.task):
            for cut in cuts:
                states.append(random_states(self.device))
                outputs.append(self._by_sample(self._outputs(self.network, cut.flatten(0, 1))))
        cache = torch.cat(outputs, dim=1).requires_grad_()
        values = self._loss(cache.flatten(0, 1), batch)
        torch.autograd.backward(self.scaler.scale(values["loss"]))
        assert cache.grad is not None
        after = random_states(self.device)
        parts = list(zip(cuts, states, torch.split(cache.grad, micro, dim=1), strict=True))
        for number, (cut, state, gradient) in enumerate(parts, start=1):
            restore_random_states(state, self.device)
            with self._exchange(number == len(parts)):
                again = self._outputs(self.replica, cut.flatten(0, 1))
                torch.autograd.backward(self._by_sample(again), gradient)
        restore_random_states(after, self.device)
        return {key: value.detach() for key, value in values.items()}

    def _prepared(self, batch: Batch, random: torch.Generator) -> tuple[Tensor, Batch]:
        if distributed.size() == 1:
            prepared = self.task.prepare(batch, random)
            inputs, targets = self.task.mix(prepared, batch.targets, random)
            return inputs, Batch(batch.inputs, targets, batch.indices)
        with OwnRows(random, len(batch.inputs)):
            inputs = self.task.prepare(batch, random)
        targets = batch.targets
        if self.task.mixes:  # samples of one device with those of another
            own = distributed.share(len(targets) * distributed.size())
            rows, targets = (
                distributed.gather(self._by_sample(inputs), 1),
                distributed.gather(targets),
            )
            rows, targets = self.task.mix(rows.flatten(0, 1), targets, random)
            inputs, targets = self._by_sample(rows)[:, own].flatten(0, 1), targets[own]
        return inputs, Batch(batch.inputs, targets, batch.indices)

    def _outputs(self, network: Any, inputs: Tensor) -> Tensor:
        if self.settings.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.bench.precision):
            outputs: Tensor = network(inputs)
        return outputs

    def _loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The loss of the outputs of all devices."""
        if distributed.size() > 1:
            outputs = distributed.gather(self._by_sample(outputs), dim=1).flatten(0, 1)
            labels = distributed.gather(batch.targets), distributed.gather(batch.indices)
            batch = Batch(batch.inputs, *labels)
        wide = torch.promote_types(outputs.dtype, torch.float32)
        return self.task.loss(outputs.to(wide), batch)

    def _by_sample(self, rows: Tensor) -> Tensor:
        """[views * N, ...] as [views, N, ...], which can be cut and joined sample by sample."""
        return rows.view(self.task.views, -1, *rows.shape[1:])

    def _exchange(self, now: bool) -> AbstractContextManager[Any]:
        """Whether the backward pass inside ends with the sum over the devices."""
        return nullcontext() if now or distributed.size() == 1 else self.replica.no_sync()


class _Replica(nn.Module):
    """The network as DistributedDataParallel is given it."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor | None) -> Tensor:
        if inputs is not None:
            outputs: Tensor = self.network(inputs)
            return outputs
        shared = [p for name, p in self.network.named_parameters() if not _of_loss(name)]
        return torch.stack([p.sum() for p in shared if p.requires_grad]).sum()


def _of_loss(name: str) -> bool:
    return "criterion" in name.split(".")


def _replicated(network: Any, device: torch.device) -> DistributedDataParallel:
    """The network such that its gradients are summed over the devices (see `distributed.gather`).

    A loss's own parameters are left out: they are used outside the network, and their gradient is
    that of the global batch on every device already.
    """
    replica = _Replica(network)
    own = [name for name, _ in replica.named_parameters() if _of_loss(name)]
    ignore: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    ignore(replica, own)
    where = [device] if device.type == "cuda" else None
    ddp = DistributedDataParallel(replica, device_ids=where, gradient_as_bucket_view=True)
    # After its first backward pass it groups the gradients anew, in the order they came in, and
    # with the grouping the order changes in which those of three devices or more are added up. A
    # resumed run would do so at a later step than one never stopped: so here, before the first.
    ddp(None).backward()
    network.zero_grad(set_to_none=True)
    return ddp


def _check_parts(task: Learner, accumulate: int, micro_batch: int | None) -> None:
    if accumulate > 1 and micro_batch is not None:
        raise BadRequest(
            f"engine.micro_batch={micro_batch}: not together with engine.accumulate={accumulate}; "
            "both save memory, engine.micro_batch for every loss"
        )
    if accumulate > 1 and (task.batch_wide or getattr(task.criterion, "batch_wide", False)):
        why = "the loss is not a mean over the samples of a batch, which so cannot be cut"
        raise BadRequest(
            f"engine.accumulate={accumulate}: {why}; did you mean engine.micro_batch, which "
            "saves memory and leaves the loss whole? allowed: 1"
        )
