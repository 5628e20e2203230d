"""Which families of mini-batches have the full batch's optimum: the simplex, for contrastive loss.

Cho et al., "Mini-Batch Optimization of Contrastive Loss", arXiv:2307.05906, with the loss of its
code (krafton-ai/mini-batch-cl, utils.py: clip_batch_loss), over N pairs of unit vectors:

    L(U, V) = 1/N sum_i [ -log( e^{u_i.v_i} / sum_j e^{u_i.v_j} ) - the same with u, v exchanged ]

which is twice `infonce` at temperature 1. Minimised is its mean over a family of batches of B:

    full          the one batch of all N (B is not used)
    all           all (N choose B)
    all_but_one   the same less one batch
    design        N = 8, B = 4: the 14 blocks whose indices xor to 0, in which every two of the 8
                  are together equally often (three times), as in `all`
    half          half of `all`, drawn at random
    partition     N/B disjoint batches

In d >= N-1 dimensions the first, second and fourth have the simplex for their optimum, by
convexity, with L = 2 log(1 + (B-1) e^{-N/(N-1)}); a partition makes a simplex of each batch,
L = 2 log(1 + (B-1) e^{-B/(B-1)}). With N = 2d and `full` it is the cross-polytope,
L = 2 log(1 + e^{-2} + (N-2) e^{-1}).

Metrics `measured/…` and, where there is a formula, `theory/…`: `batch_loss` (the mean over the
family), `full_loss` (of all N at once) and `distance`, the Frobenius norm of U V' less the
simplex's (less the cross-polytope's for N = 2d, its antipodal pairs matched first).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge, Literal
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import minimise, random_sphere, simplex
from ppr.studies.study import Study

DESIGN = (8, 4)
"""The N and B of the design."""


def batch_losses(similarities: Tensor, batches: Tensor) -> Tensor:
    """L of each batch [M] from all cosines [N, N] and the batches' indices [M, B]."""
    s = similarities[batches[:, :, None], batches[:, None, :]]
    matched = s.diagonal(dim1=1, dim2=2)
    return (s.logsumexp(2) + s.logsumexp(1) - 2 * matched).mean(1)


def equiangular_loss(batch: int, negative: float) -> float:
    """L where matching pairs coincide and all others of a batch have one cosine."""
    return 2 * math.log1p((batch - 1) * math.exp(negative - 1))


def family(name: str, pairs: int, batch: int, random: torch.Generator) -> Tensor:
    """The indices [M, B] of a family's batches.

    Raises:
        BadRequest: a design for other numbers than N = 8, B = 4; a partition that leaves a rest.
    """
    if name == "full":
        return torch.arange(pairs)[None]
    if name == "partition":
        if pairs % batch:
            raise BadRequest(f"task.batch={batch}: must divide task.pairs={pairs}")
        return torch.randperm(pairs, generator=random).view(-1, batch)
    every = torch.tensor(list(itertools.combinations(range(pairs), batch)))
    if name == "all":
        return every
    if name == "all_but_one":
        left_out = torch.randint(len(every), (1,), generator=random)
        return every[torch.arange(len(every)) != left_out]
    if name == "half":
        return every[torch.randperm(len(every), generator=random)[: len(every) // 2]]
    if (pairs, batch) != DESIGN:
        raise BadRequest("task.batches=design: needs task.pairs=8 and task.batch=4")
    return torch.tensor([b for b in every.tolist() if b[0] ^ b[1] ^ b[2] ^ b[3] == 0])


@component("task")
class MinibatchOptimum(Study):
    """
    Raises:
        BadRequest: a batch larger than the number of pairs, or a family that has none.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        batches: Literal["full", "all", "all_but_one", "design", "half", "partition"] = "all",
        pairs: Annotated[int, Ge(3)] = 8,
        batch: Annotated[int, Ge(2)] = 2,
        dim: Count = 16,
        steps: Count = 2000,
    ) -> None:
        super().__init__(bench)
        if batch > pairs:
            raise BadRequest(f"task.batch={batch}: must be at most task.pairs={pairs}")
        self.name = batches
        self.pairs, self.dim, self.steps = pairs, dim, steps
        self.batch = pairs if batches == "full" else batch
        random = generator(torch.device("cpu"), bench.seed, "batches")
        self.batches = family(batches, pairs, batch, random).to(bench.device)

    def measure(self) -> dict[str, dict[str, float]]:
        start = random_sphere(2, self.pairs, self.dim, seed=self.bench.seed, purpose="minibatch")
        u, v = minimise(self._loss, start.to(self.bench.device), self.steps)
        cosines = u @ v.T
        everything = torch.arange(self.pairs, device=cosines.device)[None]
        polytope = self.pairs == 2 * self.dim
        optimum = cross_polytope(cosines) if polytope else simplex(self.pairs, like=cosines)
        measured = {
            "batch_loss": batch_losses(cosines, self.batches).mean().item(),
            "full_loss": batch_losses(cosines, everything).item(),
            "distance": torch.linalg.matrix_norm(cosines - optimum).item(),
        }
        return {"measured": measured, "theory": self._theory(polytope)}

    def _loss(self, x: Tensor) -> Tensor:
        u, v = torch.nn.functional.normalize(x, dim=-1)
        return batch_losses(u @ v.T, self.batches).mean()

    def _theory(self, polytope: bool) -> dict[str, float]:
        N, B = self.pairs, self.batch
        if polytope and self.name == "full":
            loss = 2 * math.log(1 + math.exp(-2) + (N - 2) * math.exp(-1))
            return {"batch_loss": loss, "full_loss": loss, "distance": 0.0}
        if self.name == "partition" and self.dim >= B - 1:
            return {"batch_loss": equiangular_loss(B, -1 / (B - 1))}
        if self.name in ("full", "all", "design") and self.dim >= N - 1:
            negative = -1 / (N - 1)
            return {
                "batch_loss": equiangular_loss(B, negative),
                "full_loss": equiangular_loss(N, negative),
                "distance": 0.0,
            }
        return {}


def cross_polytope(cosines: Tensor) -> Tensor:
    """The Gram matrix of N = 2d points, plus and minus each axis, each with its farthest as foe."""
    foes = cosines.argmin(1)
    matrix = torch.eye(len(cosines), dtype=cosines.dtype, device=cosines.device)
    matrix[torch.arange(len(cosines), device=cosines.device), foes] = -1
    return matrix
