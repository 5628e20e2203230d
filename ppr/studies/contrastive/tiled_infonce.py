"""InfoNCE in tiles against the whole similarity matrix: error, overflow and memory.

Cheng et al., "Breaking the Memory Barrier: Near Infinite Batch Size Scaling for Contrastive Loss",
arXiv:2410.17243 (code: DAMO-NLP-SG/Inf-CLIP, flash.py and ring.py). For N pairs of unit vectors and
s_ij = a_i.b_j / t the log-partition lse_i = log sum_j e^{s_ij} is accumulated over blocks J of b,

    lse_i <- log( e^{lse_i} + sum_{j in J} e^{s_ij} )

and the backward pass makes the blocks again, so that the N x N matrix is never held. Measured is
the config's loss, ppr's `infonce`, whose tiles are `rows` anchors high (None: of its own choice)
and as wide as b; and a ring of `shards` processes, simulated, each of which holds a share of both
towers and merges the partial log-partitions of the shares of b as they come round.

The paper's code is of one direction, and merges by lse - logsigmoid(lse - block), which is the same
logaddexp; the loss here is the mean of both directions, as CLIP's. Its path without a kernel takes
log(sum(exp(s))) with no maximum off, which overflows float32 where s > 88.7: `max_free`.

The pairs are b_i = a_i + noise n_i, normalised, of random unit vectors a_i and n_i. Metrics, where
<form> is matrix, tiled, ring or max_free, in the config's dtype:
    <form>/finite          1 where the loss is a number, 0 where it is not, and has no errors
    <form>/loss_error      against the matrix in float64, of the same numbers: relative to the
                           truth, absolute where that is below 1
    <form>/gradient_error  likewise of the largest entry of the gradient, either tower's, that of a
                           pair's own loss (N times the mean's)
    <form>/megabytes       most bytes of tensors held at once by the loss and its gradient
    <form>/growth          that over the same for an eighth of the pairs
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge, Literal, Positive
from ppr.losses._partition import log_partition
from ppr.losses.contrastive.infonce import InfoNCELoss, infonce
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import random_sphere
from ppr.studies.contrastive.held_bytes import HeldBytes
from ppr.studies.study import Study

Partition = Callable[[Tensor, Tensor], Tensor]
"""Anchors [M, D] and candidates [N, D], whose products are the logits, to lse [M]."""
Loss = Callable[[Tensor, Tensor], Tensor]

GROWTH = 8
"""How many times the pairs are of the batch that `growth` compares with."""


def matrix_partition(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T).logsumexp(1)


def max_free_partition(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T).exp().sum(1).log()


def ring_partition(a: Tensor, b: Tensor, *, shards: int, rows: int | None) -> Tensor:
    """Process p begins with its own share of b, then takes its neighbour's, and so on round."""
    shares = b.tensor_split(shards)
    found = []
    for own, anchors in enumerate(a.tensor_split(shards)):
        lse = log_partition(anchors, shares[own], rows=rows)
        for step in range(1, len(shares)):
            block = shares[(own + step) % len(shares)]
            lse = torch.logaddexp(lse, log_partition(anchors, block, rows=rows))
        found.append(lse)
    return torch.cat(found)


def loss_of(partition: Partition, a: Tensor, b: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE, both directions, of towers [N, D] of any length, by a log-partition."""
    a, b = (F.normalize(x, dim=1) * temperature**-0.5 for x in (a, b))
    both = (partition(a, b) + partition(b, a)) / 2
    loss: Tensor = (both - (a * b).sum(1)).mean()
    return loss


@component("task", losses="two-tower")
class TiledInfoNCE(Study):
    """
    Raises:
        BadRequest: another loss than infonce; fewer pairs than an eighth needs, or than shards.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        pairs: Annotated[int, Ge(8)] = 1024,
        dim: Count = 64,
        noise: Positive = 2.0,
        rows: Count | None = None,
        shards: Count = 4,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__(bench)
        loss = bench.build("loss")
        if not isinstance(loss, InfoNCELoss):
            raise BadRequest("loss: must be infonce, which the study takes apart")
        if shards > pairs:
            raise BadRequest(f"task.shards={shards}: must be at most task.pairs={pairs}")
        t = loss.temperature
        self.pairs, self.dim, self.noise = pairs, dim, noise
        self.dtype: torch.dtype = getattr(torch, dtype)
        ring = partial(ring_partition, shards=shards, rows=rows)
        self.losses: dict[str, Loss] = {
            "matrix": partial(loss_of, matrix_partition, temperature=t),
            "tiled": partial(infonce, temperature=t, rows=rows),
            "ring": partial(loss_of, ring, temperature=t),
            "max_free": partial(loss_of, max_free_partition, temperature=t),
        }

    def measure(self) -> dict[str, dict[str, float]]:
        towers = self._towers()
        fewer = [x[: self.pairs // GROWTH] for x in towers]
        matrix = self.losses["matrix"]
        truth, _ = step(matrix, [x.double() for x in towers])
        found = {}
        for name, loss in self.losses.items():
            values, held = step(loss, towers)
            _, held_by_fewer = step(loss, fewer)
            memory = {"megabytes": held / 1e6, "growth": held / held_by_fewer}
            found[name] = {**compare(values, truth), **memory}
        return found

    def _towers(self) -> list[Tensor]:
        a, n = random_sphere(2, self.pairs, self.dim, seed=self.bench.seed, purpose="tiled_infonce")
        return [x.to(self.bench.device, self.dtype) for x in (a, a + self.noise * n)]


def step(loss: Loss, towers: list[Tensor]) -> tuple[list[Tensor], int]:
    """The loss and its gradient with respect to both towers, and the most bytes held on the way."""
    a, b = (x.clone().requires_grad_() for x in towers)
    held = HeldBytes(apart=(a, b))
    with held.made():
        value = loss(a, b)
        gradients = torch.autograd.grad(value, (a, b))
    return [value.detach(), *(len(a) * gradient for gradient in gradients)], held.peak


def compare(found: list[Tensor], truth: list[Tensor]) -> dict[str, float]:
    if not found[0].isfinite():
        return {"finite": 0.0}
    loss, *gradients = (
        float((x - y).abs().max() / y.abs().max().clamp(min=1))
        for x, y in zip(found, truth, strict=True)
    )
    return {"finite": 1.0, "loss_error": loss, "gradient_error": max(gradients)}
