"""Federated classification: clients train on data of their own, a server averages their weights.

All clients in one process, one after the other. A round of federated averaging (McMahan et al.,
"Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017, algorithm 1):
every client takes the server's weights w, makes `local_epochs` passes over its own n_k samples with
an optimizer begun anew, and w becomes the mean of the clients' weights, weighted by n_k. With
`proximal` a client's loss has proximal / 2 |w_k - w|^2 added (Li et al., "Federated Optimization in
Heterogeneous Networks", 2020, FedProx).

A stream of tasks (`Split.extra["task"]`) is gone through with `rounds` rounds each; other data are
one task. The samples of a task are dealt out evenly, or with `alpha` unevenly by class: the shares
of a class are drawn from Dirichlet(alpha, .., alpha) (Hsu, Qi and Brown, "Measuring the Effects of
Non-Identical Data Distribution", 2019).

With `buffer` above 0, Fed-A-GEM (Dai et al., "Buffer-based Gradient Projection for Continual
Federated Learning", 2024): a client keeps a reservoir of so many of its samples, filled in the
first local epoch of a task; after each round the clients' mean gradient on their reservoirs, at the
new weights, is g_ref, and in the next round every local step with gradient g takes

    g                                       where <g, g_ref> >= 0
    g - <g, g_ref> / <g_ref, g_ref> g_ref   else

`reference` samples of each reservoir make g_ref (null: all). Read in models/Update_booster.py of
https://github.com/shenghongdai/Fed-A-GEM, which takes 32 of 200.

What a round draws follows from the seed and its number alone, so a checkpoint after a round is all
that exact resumption needs. Metrics beside the evaluators': `federated/`, see
ppr/tasks/per_task.py.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from ppr.data.dataset import Split
from ppr.engine.batches import Batch
from ppr.engine.bench import Bench, Outcome
from ppr.engine.buffers import buffers_kept
from ppr.engine.checkpoints import WEIGHTS, load_checkpoint, save_checkpoint, save_weights
from ppr.engine.interrupts import Interrupted
from ppr.engine.seeding import derive, generator, seed_everything
from ppr.engine.train import evaluate
from ppr.errors import BadRequest, RunFailed
from ppr.fields import Count, NonNegative, Positive, Whole
from ppr.registry import component
from ppr.results.files import MetricsLog
from ppr.tasks.classify import Classify
from ppr.tasks.per_task import accuracies, scores

CPU = torch.device("cpu")


def project(gradient: Tensor, reference: Tensor) -> Tensor:
    """A gradient without its part against the reference, where it has one."""
    along = torch.dot(gradient, reference)
    length = torch.dot(reference, reference)
    against = (along < 0) & (length > 0)
    return torch.where(against, gradient - along / length * reference, gradient)


def deal(targets: np.ndarray, clients: int, alpha: float | None, seed: int) -> list[np.ndarray]:
    """The samples of each client: even shares at random, or Dirichlet shares of every class."""
    random = np.random.RandomState(np.random.MT19937(seed))
    if alpha is None:
        return np.array_split(random.permutation(len(targets)), clients)
    dealt: list[list[np.ndarray]] = [[] for _ in range(clients)]
    for label in np.unique(targets):
        rows = random.permutation(np.flatnonzero(targets == label))
        cuts = random.dirichlet([alpha] * clients).cumsum()[:-1] * len(rows)
        for own, part in zip(dealt, np.split(rows, np.rint(cuts).astype(int)), strict=True):
            own.append(part)
    return [np.concatenate(own) for own in dealt]


@component("task", losses="classification", targets="class")
class Federate(Classify):
    """
    Raises:
        BadRequest: the data do not fit in memory, or the run is on several devices.
    """

    reservoir: Tensor
    offered: Tensor
    reference_gradient: Tensor
    matrix: Tensor

    def __init__(
        self,
        bench: Bench,
        *,
        clients: Count = 5,
        rounds: Count = 5,
        local_epochs: Count = 1,
        alpha: Positive | None = None,
        proximal: NonNegative = 0.0,
        buffer: Whole = 0,
        reference: Count | None = 32,
    ) -> None:
        super().__init__(bench)
        train = bench.dataset.train
        if not isinstance(train, Split) or bench.settings.devices > 1:
            raise BadRequest("task=federate: needs data in memory, and engine.devices=1")
        self.clients, self.rounds, self.local_epochs = clients, rounds, local_epochs
        self.proximal, self.buffer, self.reference = proximal, buffer, reference
        self.task_of = train.extra.get("task", torch.zeros(len(train), dtype=torch.int64))
        self.tasks = int(self.task_of.max()) + 1
        self.shares = [self._dealt(train, task, alpha) for task in range(self.tasks)]
        size = sum(p.numel() for p in self.parameters())
        self.register_buffer("reservoir", torch.full((clients, buffer), -1))
        self.register_buffer("offered", torch.zeros(clients, dtype=torch.int64))
        self.register_buffer("reference_gradient", torch.zeros(size))
        self.register_buffer("matrix", torch.zeros(self.tasks, self.tasks))

    def _dealt(self, train: Split, task: int, alpha: float | None) -> list[Tensor]:
        rows = (self.task_of == task).nonzero().flatten()
        seed = derive(self.bench.seed, "partition", task) % 2**32
        parts = deal(train.targets[rows].numpy(), self.clients, alpha, seed)
        return [rows[torch.from_numpy(part)] for part in parts]

    def execute(self) -> Outcome:
        bench = self.bench
        self.to(bench.device)
        folder = bench.folder / "checkpoints"
        log = MetricsLog(bench.folder / "metrics.jsonl")
        state: dict[str, Any] = load_checkpoint(folder) or {"round": 0, "log": {"bytes": 0}}
        if "task" in state:
            self.load_state_dict(state["task"])
        log.truncate(state["log"]["bytes"])
        total = self.tasks * self.rounds
        bench.watcher.started(total, self.rounds, state["round"])
        saved = time.perf_counter()
        for number in range(state["round"], total):
            began = time.perf_counter()
            values = {"train/loss": self.play(number)}
            if not math.isfinite(values["train/loss"]):
                raise RunFailed(
                    f"a local loss is not finite in round {number + 1}; try a smaller optimizer.lr"
                )
            seen = self.local_epochs * sum(map(len, self.shares[number // self.rounds]))
            rate = seen / (time.perf_counter() - began)
            if (number + 1) % self.rounds == 0:
                task = number // self.rounds
                found, _ = accuracies(self, bench.dataset, task)
                self.matrix[task, : task + 1] = found
            done = number + 1
            log.write({"step": done, "epoch": done / self.rounds, **values})
            bench.watcher.stepped(done, done / self.rounds, values, rate)
            if bench.stop or time.perf_counter() - saved > bench.settings.checkpoint_seconds:
                state = {"round": done, "task": self.state_dict()}
                save_checkpoint(folder, done, state, log)
                saved = time.perf_counter()
            if bench.stop and done < total:
                raise Interrupted(f"stopped after round {done} of {total}: saved")
        log.close()
        save_weights(bench.folder / WEIGHTS, self.state_dict())
        metrics = {**evaluate(self, bench, "test"), "federated": scores(self.matrix)}
        data = {"name": bench.dataset.name, "digest": bench.dataset.digest}
        return Outcome(metrics=metrics, data=data, protocol={"rounds": total})

    def check(self) -> None:
        """Play one round and build the evaluators."""
        self.bench.evaluators()
        self.to(self.bench.device)
        self.play(0)

    def play(self, number: int) -> float:
        """One round, the mean of its local losses."""
        seed_everything(self.bench.seed, "round", number)
        task = number // self.rounds
        shares = [share for share in self.shares[task] if len(share)]
        learned = {name: tensor.clone() for name, tensor in self.named_state()}
        mean = {name: torch.zeros_like(tensor) for name, tensor in learned.items()}
        everyone = sum(len(share) for share in shares)
        losses = []
        for client, share in enumerate(self.shares[task]):
            if not len(share):
                continue
            self._take(learned)
            losses.append(self._train(number, client, share))
            for name, tensor in self.named_state():
                mean[name] += tensor * (len(share) / everyone)
        self._take(mean)
        if self.buffer:
            self.reference_gradient.copy_(self._reference(number))
        return torch.stack(losses).mean().item()

    def named_state(self) -> list[tuple[str, Tensor]]:
        """What clients send to the server: weights, and the running statistics of batch norm."""
        own = ("reservoir", "offered", "reference_gradient", "matrix")
        return [
            (name, tensor)
            for name, tensor in self.state_dict().items()
            if name not in own and tensor.is_floating_point()
        ]

    def _take(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self.named_state():
            tensor.copy_(state[name])

    def _train(self, number: int, client: int, share: Tensor) -> Tensor:
        """A client's local epochs; the mean loss."""
        device = self.bench.device
        first = number % self.rounds == 0
        order = generator(CPU, self.bench.seed, "order", number, client)
        random = generator(device, self.bench.seed, "augment", number, client)
        optimizer = self.bench.build("optimizer", self)
        start = parameters_to_vector(self.parameters()).detach().clone()
        self.train()
        losses = []
        for epoch in range(self.local_epochs):
            shuffled = share[torch.randperm(len(share), generator=order)]
            for indices in torch.split(shuffled, self.bench.settings.batch_size):
                optimizer.zero_grad(set_to_none=False)
                loss = self._loss_of(indices, random)
                losses.append(loss.detach())
                if self.proximal:
                    moved = parameters_to_vector(self.parameters()) - start
                    loss = loss + self.proximal / 2 * moved.square().sum()
                torch.autograd.backward(loss)
                if self.buffer:
                    self._write_gradient(project(self._gradient(), self.reference_gradient))
                optimizer.step()
                if self.buffer and first and epoch == 0:
                    self._keep(client, indices, order)
        return torch.stack(losses).mean()

    def _loss_of(self, indices: Tensor, random: torch.Generator) -> Tensor:
        train = self.bench.dataset.train
        assert isinstance(train, Split)
        parts = (train.inputs[indices], train.targets[indices], indices)
        batch = Batch(*(part.to(self.bench.device) for part in parts))
        return self.compare(self(self.prepare(batch, random)), batch)

    def _gradient(self) -> Tensor:
        return torch.cat(
            [
                torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten()
                for p in self.parameters()
            ]
        )

    def _write_gradient(self, gradient: Tensor) -> None:
        sizes = [p.numel() for p in self.parameters()]
        for p, part in zip(self.parameters(), torch.split(gradient, sizes), strict=True):
            p.grad = part.view_as(p)

    def _keep(self, client: int, indices: Tensor, random: torch.Generator) -> None:
        """Offer samples to a client's reservoir, each of all so far being as likely to be in it."""
        count = int(self.offered[client]) + torch.arange(len(indices))
        drawn = (
            torch.rand(len(indices), generator=random, dtype=torch.float64) * (count + 1)
        ).long()
        place = torch.where(count < self.buffer, count, drawn)
        kept = self.reservoir[client].cpu().numpy()
        taken = place < self.buffer
        # One after another: of two for one place the later stays.
        for at, sample in zip(place[taken].tolist(), indices[taken].tolist(), strict=True):
            kept[at] = sample
        self.reservoir[client] = torch.from_numpy(kept)
        self.offered[client] += len(indices)

    def _reference(self, number: int) -> Tensor:
        """The mean over clients of the gradient on their reservoirs, at the server's weights."""
        self.train()
        found = []
        for client in range(self.clients):
            rows = self.reservoir[client].cpu()
            rows = rows[rows >= 0]
            if not len(rows):
                continue
            random = generator(CPU, self.bench.seed, "reference", number, client)
            rows = rows[torch.randperm(len(rows), generator=random)[: self.reference]]
            augment = generator(self.bench.device, self.bench.seed, "reference", number, client)
            self.zero_grad()
            with buffers_kept(self):
                torch.autograd.backward(self._loss_of(rows, augment))
            found.append(self._gradient())
        self.zero_grad()
        return torch.stack(found).mean(0)
