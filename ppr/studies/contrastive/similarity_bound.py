"""How negative similarities can be while matching pairs stay aligned: the bound, and who meets it.

Lee et al., "On the Similarities of Embeddings in Contrastive Learning", arXiv:2506.09781, section
5: for any N pairs of unit vectors, with s the mean matching cosine,

    mean over i != j of u_i.v_j  >=  ((N-2) s - N) / (2 (N-1))

so that s = 1 needs a mean of -1/(N-1) or more, and a loss that pushes below it misaligns the pairs.
The sigmoid loss at a low temperature does; the same with its negatives within the views as well,
softplus(t u_i.u_j + bias) and softplus(t v_i.v_j + bias), need not (`within`).

Metrics `measured/…`:
    least_slack    the least left side less right side of `draws` random embeddings: independent,
                   near to aligned, near to antipodal, and in two dimensions only
    closest        the least that a minimiser finds: 0
    model_slack    the largest of the double-constant model's (ccem.py), delta from 0 to 10: 0
    positive       s at the optimum of the sigmoid loss with the config's loss as it is
    positive_within  s with the negatives within the views added
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Annotated, Count, Ge
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import minimise, pair_similarities, random_sphere
from ppr.studies.study import Study

DELTAS = (0.0, 0.1, 0.5, 1.0, 2.0, 10.0)


def slack(u: Tensor, v: Tensor) -> Tensor:
    """Left side less right side of the bound, of unit vectors [..., N, D]."""
    pairs = u.shape[-2]
    matched = (u * v).sum((-1, -2))
    negative = ((u.sum(-2) * v.sum(-2)).sum(-1) - matched) / (pairs * (pairs - 1))
    return negative - ((pairs - 2) * matched / pairs - pairs) / (2 * (pairs - 1))


def double_constant(pairs: int, delta: float) -> tuple[Tensor, Tensor]:
    """The model's embeddings u, v [N, N+1]: a simplex's, apart by delta in one more dimension."""
    centred = torch.eye(pairs, dtype=torch.float64) - 1 / pairs
    corners = F.normalize(centred, dim=1)
    more = torch.full((pairs, 1), delta, dtype=torch.float64)
    return tuple(F.normalize(torch.cat([corners, x], 1), dim=1) for x in (more, -more))  # type: ignore[return-value]


@component("task", losses="two-tower")
class SimilarityBound(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        pairs: Annotated[int, Ge(3)] = 10,
        draws: Count = 10000,
        steps: Count = 2000,
    ) -> None:
        super().__init__(bench)
        self.pairs, self.draws, self.steps = pairs, draws, steps
        self.loss = bench.build("loss")

    def measure(self) -> dict[str, dict[str, float]]:
        N, seed = self.pairs, self.bench.seed
        start = random_sphere(2, N, N, seed=seed, purpose="bound").to(self.bench.device)
        closest = minimise(lambda x: slack(*F.normalize(x, dim=-1)), start, self.steps)
        alone = minimise(lambda x: self.loss(x[0], x[1]), start, self.steps)
        within = minimise(self._within, start, self.steps)
        model = [slack(*double_constant(N, delta)).abs().item() for delta in DELTAS]
        measured = {
            "least_slack": self._random_slack().min().item(),
            "closest": slack(*closest).item(),
            "model_slack": max(model),
            "positive": pair_similarities(*alone)["positive"],
            "positive_within": pair_similarities(*within)["positive"],
        }
        return {"measured": measured}

    def _within(self, x: Tensor) -> Tensor:
        # A vector's cosine with itself is 1, so what each loss has of it is a constant.
        loss: Tensor = self.loss(x[0], x[1]) + self.loss(x[0], x[0]) + self.loss(x[1], x[1])
        return loss

    def _random_slack(self) -> Tensor:
        random = generator(torch.device("cpu"), self.bench.seed, "draws")
        many = (self.draws // 4, self.pairs, self.pairs)
        u, v = (torch.randn(many, dtype=torch.float64, generator=random) for _ in range(2))
        kinds = ((u, v), (u, u + 0.1 * v), (u, 0.1 * v - u), (u[..., :2], v[..., :2]))
        return torch.cat([slack(F.normalize(a, dim=-1), F.normalize(b, dim=-1)) for a, b in kinds])
