"""The geometry of class means under supervised contrastive loss, with and without ReLU.

Kini et al., "Symmetric Neural-Collapse Representations with Supervised Contrastive Loss: The Impact
of ReLU and Batching", ICLR 2024, arXiv:2306.07960: over unit features h_i = ReLU(x_i) / |ReLU(x_i)|
the optima of SCL (`supcon`) are an orthogonal frame, the classes' features alike and orthogonal to
each other's, whatever the classes' sizes. Without the ReLU it is a simplex where the sizes are
equal, and something less regular where they are not. In mini-batches, the loss being summed over
their samples, that needs batches that tie every class to every other and to itself:

    full      all samples at once
    apart     two batches, one of the first half of the classes and one of the second
    random    disjoint batches of `batch` samples, drawn once

`bind` adds the same sample of each class to every batch. Samples without a positive in their batch
count nothing. The optimum does not depend on the temperature, but is only found at a high one.

Metrics `measured/…`: `distance`, | G/|G| - I/|I| | of the Gram matrix G of class means (Frobenius
norms); `cosine`, the largest between two class means in size; `minority` and `majority`, the mean
cosines among the smaller and the larger half of the classes, and `asymmetry`, their difference;
`spread`, the largest distance of a feature from its class mean.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Count, Literal
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import minimise, off_diagonal, random_sphere
from ppr.studies.study import Study

RESTARTS = 4
"""The ReLU's kinks stop a line search early; begun anew, without its memory, it goes on."""


def frame_distance(gram: Tensor) -> float:
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    norm = torch.linalg.matrix_norm
    return float(norm(gram / norm(gram) - eye / norm(eye)))


@component("task", losses="contrastive")
class SCLGeometry(Study):
    """
    Raises:
        BadRequest: fewer than four classes, or one of fewer than two samples.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        counts: list[int] | None = None,
        relu: bool = True,
        batches: Literal["full", "apart", "random"] = "full",
        batch: Count = 8,
        bind: bool = False,
        dim: Count = 16,
        steps: Count = 1000,
    ) -> None:
        super().__init__(bench)
        counts = counts or [40, 40, 4, 4]
        if len(counts) < 4 or min(counts) < 2:
            raise BadRequest(f"task.counts={counts}: four classes or more, each of two samples")
        self.counts = torch.tensor(counts)
        self.labels = torch.arange(len(counts)).repeat_interleave(self.counts).to(bench.device)
        self.relu = relu
        self.dim, self.steps = dim, steps
        self.loss = bench.build("loss")
        self.batches = self._parted(batches, batch)
        if bind:
            first = (self.counts.cumsum(0) - self.counts).to(bench.device)
            self.batches = [torch.unique(torch.cat([part, first])) for part in self.batches]

    def _parted(self, how: str, batch: int) -> list[Tensor]:
        samples = torch.arange(len(self.labels), device=self.labels.device)
        if how == "full":
            return [samples]
        if how == "apart":
            second = self.labels >= len(self.counts) // 2
            return [samples[~second], samples[second]]
        random = generator(torch.device("cpu"), self.bench.seed, "batches")
        order = torch.randperm(len(samples), generator=random).to(samples.device)
        return list(torch.split(order, batch))

    def measure(self) -> dict[str, dict[str, float]]:
        start = random_sphere(len(self.labels), self.dim, seed=self.bench.seed, purpose="scl")
        # All positive where there is a ReLU: a row of negative numbers would never change.
        start = start.abs() if self.relu else start
        found = start.to(self.bench.device)
        for _ in range(RESTARTS if self.relu else 1):
            found = minimise(self._loss, found, self.steps)
        features = self._features(found)
        means = torch.stack([features[self.labels == k].mean(0) for k in range(len(self.counts))])
        cosines = F.normalize(means, dim=1) @ F.normalize(means, dim=1).T
        order = self.counts.argsort(stable=True)
        minority, majority = (
            off_diagonal(cosines[some][:, some]).mean().item()
            for some in order.tensor_split([len(order) // 2])
        )
        measured = {
            "distance": frame_distance(means @ means.T),
            "cosine": off_diagonal(cosines).abs().max().item(),
            "minority": minority,
            "majority": majority,
            "asymmetry": minority - majority,
            "spread": (features - means[self.labels]).norm(dim=1).max().item(),
        }
        return {"measured": measured}

    def _features(self, x: Tensor) -> Tensor:
        return F.normalize(x.relu() if self.relu else x, dim=1)

    def _loss(self, x: Tensor) -> Tensor:
        features = x.relu() if self.relu else x
        # The loss is a mean over its batch's samples.
        parts = [len(p) * self.loss(features[p], self.labels[p]) for p in self.batches]
        return torch.stack(parts).sum() / len(self.labels)
