"""What whitening does to embeddings that shrink to a point: nothing, as far as the loss can see.

Ermolov et al., arXiv:2007.06346 (losses/w_mse.py). Two views V_1, V_2 of n samples are

    V_i = c + scale (shared + own_i) A

with a constant unit vector c, Gaussian `shared` and `own_i` [n, D] and a random A, whose singular
values go from 1 to 1/`condition`. As the scale goes to 0 the embeddings collapse to c: plain MSE
goes to 0 with the square of the scale, W-MSE stays what it was, since z does not depend on c or on
the scale.

Metrics: `measured/whitened` and `measured/plain`, the two losses, of unit vectors;
`measured/covariance`, the largest entry of |cov(z) - I|.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Annotated, Ge, Positive
from ppr.losses.self_supervised.w_mse import WMSELoss, whiten
from ppr.registry import component
from ppr.studies.study import Study


@component("task")
class Whitening(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        scale: Positive = 1.0,
        samples: Annotated[int, Ge(2)] = 128,
        dim: Annotated[int, Ge(2)] = 64,
        condition: Annotated[float, Ge(1)] = 100.0,
    ) -> None:
        super().__init__(bench)
        self.scale = scale
        self.samples, self.dim = samples, dim
        self.condition = condition

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(torch.device("cpu"), self.bench.seed, "whitening")

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=random)

        constant = F.normalize(draw(self.dim), dim=0)
        left, _, right = torch.linalg.svd(draw(self.dim, self.dim))
        values = torch.logspace(0, -1, self.dim, base=self.condition, dtype=torch.float64)
        views = draw(1, self.samples, self.dim) + draw(2, self.samples, self.dim)
        views = constant + self.scale * views @ (left * values @ right)
        embeddings = views.to(self.bench.device).transpose(0, 1)
        covariance = torch.cov(whiten(embeddings[:, 0]).T)
        identity = torch.eye(self.dim, dtype=torch.float64, device=covariance.device)
        return {
            "measured": {
                "whitened": WMSELoss()(embeddings).item(),
                "plain": WMSELoss(whiten=False)(embeddings).item(),
                "covariance": (covariance - identity).abs().max().item(),
            }
        }
