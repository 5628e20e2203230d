"""How many SGD updates mini-batches chosen by their loss save: shuffled, ordered, spectral.

Cho et al., "Mini-Batch Optimization of Contrastive Loss", arXiv:2307.05906; loss and optimum in
minibatch_optimum.py. One SGD step a batch on N pairs of free embeddings, drawn back to the unit
sphere after every step, until U V' is within `distance` of the simplex's. Batches are chosen by

    shuffle    a random partition of the pairs an epoch: vanilla SGD
    ordered    the one of highest loss of all (N choose B), before every update: Ordered SGD
    spectral   an epoch's partition into N/B clusters of B, of the graph in which two pairs are
               joined by what they would lose in one batch:
               w(k,l) = sum over (i,j) in {(k,l), (l,k)} of
                   log(1+(B-1) e^{u_i.v_j - u_i.v_i}) + log(1+(B-1) e^{v_i.u_j - u_i.v_i})

The last is that of the authors' code (krafton-ai/mini-batch-cl, utils.py: sc_even): affinity e^w,
spectral embedding, k-means, and equal sizes by linear assignment to the centres repeated B times.
Their script divides by free lengths instead of going back to the sphere, so its steps shrink.

Metrics `measured/…`: `updates` until there, or the cap where it does not get there; `reached`, 1
if it did; `distance` at the end; and `losses`, how many batch losses the choosing evaluated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive, generator
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge, Literal, Positive
from ppr.registry import component
from ppr.samplers.spectral import spectral_batches
from ppr.studies.contrastive.free_embeddings import random_sphere, simplex
from ppr.studies.contrastive.minibatch_optimum import batch_losses
from ppr.studies.study import Study


@component("task")
class BatchSelection(Study):
    """
    Raises:
        BadRequest: a batch size that does not divide the number of pairs.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        select: Literal["shuffle", "ordered", "spectral"] = "shuffle",
        pairs: Annotated[int, Ge(4)] = 16,
        batch: Annotated[int, Ge(2)] = 4,
        dim: Count = 32,
        lr: Positive = 0.05,
        distance: Positive = 0.5,
        cap: Count = 2500,
    ) -> None:
        super().__init__(bench)
        if pairs % batch:
            raise BadRequest(f"task.batch={batch}: must divide task.pairs={pairs}")
        self.select = select
        self.pairs, self.batch, self.dim = pairs, batch, dim
        self.lr, self.distance, self.cap = lr, distance, cap
        self.losses = 0

    def measure(self) -> dict[str, dict[str, float]]:
        self.losses = 0
        start = random_sphere(2, self.pairs, self.dim, seed=self.bench.seed, purpose="selection")
        x = start.to(self.bench.device).requires_grad_()
        goal = simplex(self.pairs, like=x)
        updates, away = 0, math.inf
        for chosen in itertools.islice(self._batches(x), self.cap):
            (grad,) = torch.autograd.grad(batch_losses(x[0] @ x[1].T, chosen[None]).sum(), x)
            with torch.no_grad():
                # The sphere's own gradient: what changes a vector's length changes no cosine.
                grad -= (grad * x).sum(-1, keepdim=True) * x
                x.copy_(F.normalize(x - self.lr * grad, dim=-1))
                away = torch.linalg.matrix_norm(x[0] @ x[1].T - goal).item()
            updates += 1
            if away <= self.distance:
                break
        measured = {
            "updates": float(updates),
            "reached": float(away <= self.distance),
            "distance": away,
            "losses": float(self.losses),
        }
        return {"measured": measured}

    def _batches(self, x: Tensor) -> Iterator[Tensor]:
        """Batches of indices [B], chosen by the embeddings at the time the next is asked for."""
        random = generator(torch.device("cpu"), self.bench.seed, "order")
        if self.select == "ordered":
            every = torch.tensor(list(itertools.combinations(range(self.pairs), self.batch)))
            every = every.to(x.device)
            while True:
                self.losses += len(every)
                yield every[batch_losses((x[0] @ x[1].T).detach(), every).argmax()]
        for epoch in itertools.count():
            if self.select == "shuffle":
                order = torch.randperm(self.pairs, generator=random).view(-1, self.batch)
            else:
                self.losses += self.pairs * (self.pairs - 1) // 2  # edges, not whole batches
                seed = derive(self.bench.seed, "clusters", epoch) % 2**32
                order = spectral_batches((x[0] @ x[1].T).detach(), self.batch, seed)
            yield from order.to(x.device)
