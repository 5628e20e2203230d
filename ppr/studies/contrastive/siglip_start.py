"""The pairwise sigmoid loss where training starts, and made in strips instead of at once.

Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023, arXiv:2303.15343,
algorithm 1 (code: google-research/big_vision, trainers/proj/image_text/siglip.py). Of B pairs whose
cosines are all 0, as those of random embeddings in many dimensions nearly are, the loss a row is

    L = log(1 + e^{-bias}) + (B-1) log(1 + e^{bias})

whatever the temperature: one match and B-1 others. With the paper's bias of -10 the others add
4.5e-5 each and the match 10, so the loss starts near 10 at any B up to many thousands; with a bias
of 0 it starts at B log 2, almost all of it the others'. Up to B = 14 that is less.

The strips are those of ppr's `siglip`, `rows` rows of the first tower at a time, as a device would
take the other devices' shares of a batch in turn; they are compared with the whole matrix.
The config's loss gives temperature and bias.

Metrics: `measured/loss`, `theory/loss`; `measured/others`, `theory/others`: the share of it that
is the others'; in `dtype`, of random unit vectors, relative to the whole matrix in float64,
`strips/loss_error` and `strips/gradient_error`, and `matrix/…` of the matrix itself.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge, Literal
from ppr.losses.contrastive.siglip import SigLIPLoss, siglip
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import random_sphere
from ppr.studies.contrastive.tiled_infonce import compare, step
from ppr.studies.study import Study


def matrix_siglip(a: Tensor, b: Tensor, *, temperature: float, bias: float) -> Tensor:
    """Algorithm 1 as it is written: -sum log sigmoid(labels * logits) / N."""
    logits = temperature * F.normalize(a, dim=1) @ F.normalize(b, dim=1).T + bias
    labels = 2 * torch.eye(len(a), dtype=a.dtype, device=a.device) - 1
    loss: Tensor = -F.logsigmoid(labels * logits).sum() / len(a)
    return loss


@component("task", losses="two-tower")
class SigLIPStart(Study):
    """
    Raises:
        BadRequest: another loss than siglip.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        pairs: Annotated[int, Ge(2)] = 512,
        dim: Count = 64,
        rows: Count = 64,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__(bench)
        loss = bench.build("loss")
        if not isinstance(loss, SigLIPLoss):
            raise BadRequest("loss: must be siglip, whose start the study has a formula for")
        self.temperature = float(bench.values["loss"]["temperature"])
        self.bias = float(bench.values["loss"]["bias"])
        self.pairs, self.dim, self.rows = pairs, dim, rows
        self.dtype: torch.dtype = getattr(torch, dtype)

    def measure(self) -> dict[str, dict[str, float]]:
        fields: dict[str, Any] = {"temperature": self.temperature, "bias": self.bias}
        apart = torch.eye(2, dtype=torch.float64, device=self.bench.device)
        zeros = [row.expand(self.pairs, 2) for row in apart]
        loss = siglip(*zeros, **fields).item()
        alone = siglip(*(x[:1] for x in zeros), **fields).item()
        x = random_sphere(2, self.pairs, self.dim, seed=self.bench.seed, purpose="siglip")
        towers = list(x.to(self.bench.device, self.dtype))
        truth, _ = step(partial(matrix_siglip, **fields), [x.double() for x in towers])
        strips, _ = step(partial(siglip, rows=self.rows, **fields), towers)
        matrix, _ = step(partial(matrix_siglip, **fields), towers)
        return {
            "measured": {"loss": loss, "others": 1 - alone / loss},
            "theory": self.theory(),
            "strips": compare(strips, truth),
            "matrix": compare(matrix, truth),
        }

    def theory(self) -> dict[str, float]:
        others = (self.pairs - 1) * math.log1p(math.exp(self.bias))
        start = math.log1p(math.exp(-self.bias)) + others
        return {"loss": start, "others": others / start}
