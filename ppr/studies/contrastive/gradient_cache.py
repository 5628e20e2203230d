"""The gradient of a batch made in parts, against that of the batch at once: error and memory.

Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
arXiv:2101.06983, section 3.2 (code: luyug/GradCache, grad_cache.py, context_managers.py). What is
measured is the engine itself, `ppr.engine.gradients` under the config's settings:
`engine.micro_batch`, gradient caching, or `engine.accumulate`, whose parts have no negatives in
common. The reference is one backward pass through one graph.

Two towers, each the config's `model`, dropout and a linear layer, embed synthetic pairs; the loss
is the config's. A pair is two linear maps of one Gaussian of `latent` numbers, with as much noise.
Float64; trained before, in float32 with the whole batch, if `epochs` says so.

Metrics, of the gradient g of all parameters as one vector, where g' is that of the batch at once:
    measured/error              |g - g'| / |g'|
    measured/error_same_chunks  the same against one graph of the same chunks. Dropout draws chunk
                                by chunk and BatchNorm normalises over a chunk, so with such layers
                                this is what caching can meet, and the batch at once is not.
    measured/cosine             between g and g'
    measured/encoder_memory     the most bytes of activations saved at once by the towers' part of
                                the graph, over those of the batch at once; in theory (without
                                BatchNorm's statistics) the chunk's share of the batch
    measured/step_memory        the same of the whole graph, representations and logits included
    measured/encoder_megabytes, measured/step_megabytes
    theory/encoder_memory
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.engine.gradients import Gradients
from ppr.engine.seeding import generator, seed_everything
from ppr.engine.training import TrainingTask
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction, Whole
from ppr.registry import component
from ppr.studies.contrastive.held_bytes import HeldBytes
from ppr.studies.study import Study


class TwoTowers(TrainingTask):
    """Inputs [2N, width], all queries before all passages, to embeddings [2N, dim] alike.

    `batch_wide` stays False, although the loss compares samples: the engine would refuse
    `engine.accumulate`, and what comes of it is measured here.
    """

    views = 2

    def __init__(self, bench: Bench, *, width: int, dim: int, dropout: float) -> None:
        super().__init__(bench)
        self.towers = nn.ModuleList()
        for _ in range(self.views):
            encoder = bench.build("model", (width,))
            last = nn.Linear(encoder.features, dim)
            self.towers.append(nn.Sequential(encoder, nn.Dropout(dropout), last))
        self.criterion = bench.build("loss")
        self.watched: Callable[[], AbstractContextManager[Any]] = nullcontext

    def prepare(self, batch: Batch, random: torch.Generator) -> Tensor:
        return batch.inputs.transpose(0, 1).flatten(0, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        with self.watched():
            parts = zip(self.towers, inputs.chunk(self.views), strict=True)
            return torch.cat([tower(part) for tower, part in parts])

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.criterion(*outputs.chunk(self.views))}


def one_graph(task: TwoTowers, batch: Batch, random: torch.Generator, chunk: int) -> None:
    """Add the gradient of a batch, embedded in chunks whose graphs are all kept."""

    def by_sample(rows: Tensor) -> Tensor:
        return rows.view(task.views, -1, rows.shape[-1])

    cuts = torch.split(by_sample(task.prepare(batch, random)), chunk, dim=1)
    outputs = torch.cat([by_sample(task(cut.flatten(0, 1))) for cut in cuts], dim=1)
    torch.autograd.backward(task.loss(outputs.flatten(0, 1), batch)["loss"])


@component("task", losses="two-tower")
class GradientCache(Study):
    """
    Raises:
        BadRequest: the batch is larger than the number of pairs, or cut in both ways at once.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        pairs: Count = 2048,
        width: Count = 64,
        latent: Count = 16,
        dim: Count = 64,
        dropout: Fraction = 0.0,
        epochs: Whole = 0,
    ) -> None:
        super().__init__(bench)
        self.size = bench.settings.batch_size
        if self.size > pairs:
            raise BadRequest(f"engine.batch_size={self.size}: must be at most task.pairs={pairs}")
        self.epochs = epochs
        self.random = generator(torch.device("cpu"), bench.seed, "gradient_cache")
        self.inputs = self._pairs(pairs, width, latent).to(bench.device)
        self.task = TwoTowers(bench, width=width, dim=dim, dropout=dropout).to(bench.device)
        unscaled = torch.amp.GradScaler(bench.device.type, enabled=False)
        self.engine = Gradients(self.task, bench, unscaled)

    def measure(self) -> dict[str, dict[str, float]]:
        settings = self.bench.settings
        chunk = settings.micro_batch or math.ceil(self.size / settings.accumulate)
        self.task.train()
        self._train()
        self.task.double()
        self.inputs = self.inputs.double()
        batch = self._batch(torch.arange(self.size))

        def in_parts() -> None:
            self.engine.backward(batch, self.random)

        def at_once(chunk: int = self.size) -> None:
            one_graph(self.task, batch, self.random, chunk)

        found, parts_bytes = self._watched(in_parts)
        whole, whole_bytes = self._watched(at_once)
        same_chunks = self._gradient(lambda: at_once(chunk))
        measured = {
            "error": _distance(found, whole),
            "error_same_chunks": _distance(found, same_chunks),
            "cosine": torch.cosine_similarity(found, whole, dim=0).item(),
        }
        for part, saved in parts_bytes.items():
            measured[f"{part}_memory"] = saved / whole_bytes[part]
            measured[f"{part}_megabytes"] = saved / 1e6
        return {"measured": measured, "theory": {"encoder_memory": min(1.0, chunk / self.size)}}

    def _gradient(self, backward: Callable[[], None]) -> Tensor:
        """All parameters' gradients as one vector, whoever makes them from the same draws."""
        self.task.zero_grad()
        seed_everything(self.bench.seed, "dropout")
        backward()
        return torch.cat([p.grad.flatten() for p in self.task.parameters() if p.grad is not None])

    def _watched(self, backward: Callable[[], None]) -> tuple[Tensor, dict[str, int]]:
        """The gradient, and the most bytes that its graphs save at once."""
        step = HeldBytes(apart=self.task.parameters())
        encoder = HeldBytes(apart=self.task.parameters(), within=step)
        self.task.watched = encoder.saved
        with step.saved():
            gradient = self._gradient(backward)
        self.task.watched = nullcontext
        return gradient, {"encoder": encoder.peak, "step": step.peak}

    def _train(self) -> None:
        optimizer = self.bench.build("optimizer", self.task)
        for _ in range(self.epochs):
            order = torch.randperm(len(self.inputs), generator=self.random)
            for indices in order[: len(order) // self.size * self.size].view(-1, self.size):
                optimizer.zero_grad()
                one_graph(self.task, self._batch(indices), self.random, self.size)
                optimizer.step()

    def _batch(self, indices: Tensor) -> Batch:
        indices = indices.to(self.inputs.device)
        return Batch(self.inputs[indices], indices, indices)

    def _pairs(self, pairs: int, width: int, latent: int) -> Tensor:
        """[pairs, 2, width], of variance 1."""
        shared = torch.randn(pairs, latent, generator=self.random)
        maps = torch.randn(latent, 2 * width, generator=self.random) / latent**0.5
        noise = torch.randn(pairs, 2, width, generator=self.random)
        signal: Tensor = (shared @ maps).view(pairs, 2, width)
        return (signal + noise) / 2**0.5


def _distance(found: Tensor, truth: Tensor) -> float:
    return float(torch.dist(found, truth) / torch.linalg.vector_norm(truth))
