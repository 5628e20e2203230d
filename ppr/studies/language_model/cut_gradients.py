"""Cross-entropy a block of logits at a time against all logits at once: values and gradients.

Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009. Embeddings
are those of drawn tokens: e_i = `scale` times the classifier's row of token i's target, a unit
vector, plus a unit vector of noise, so that the softmax is the more peaked, as after training, the
larger `scale` is. The reference is float64, of all logits; `head: whole` is all logits in the
precision of the blocks, to compare.

Metrics: `loss/value`, `loss/error` against the reference; `gradient/error`, |g - g'| / |g'| of
both gradients as one vector; `blocks/skipped`, the share that the filter left out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Count, Literal, Positive
from ppr.losses.language_model._cut_cross_entropy import (
    Skipped,
    cut_cross_entropy,
)
from ppr.registry import component
from ppr.studies.language_model.loss_memory import Loss, whole
from ppr.studies.study import Study


def step(loss: Loss, e: Tensor, c: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and both gradients as one vector."""
    e, c = (x.detach().requires_grad_() for x in (e, c))
    value = loss(e, c, target)
    gradients = torch.autograd.grad(value, (e, c))
    return value.detach(), torch.cat([x.flatten() for x in gradients])


@component("task")
class CutGradients(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        head: Literal["cut", "whole"] = "cut",
        tokens: Count = 2048,
        dim: Count = 64,
        vocabulary: Count = 32_768,
        scale: Positive = 20.0,
        softcap: Positive | None = None,
        filter_below: Positive | None = None,
        rows: Count = 128,
        columns: Count = 256,
    ) -> None:
        super().__init__(bench)
        self.head = head
        self.shapes = tokens, dim, vocabulary
        self.scale, self.softcap, self.filter_below = scale, softcap, filter_below
        self.block = {"rows": rows, "columns": columns}

    def drawn(self) -> tuple[Tensor, Tensor, Tensor]:
        random = torch.Generator().manual_seed(derive(self.bench.seed, "tokens"))
        tokens, dim, vocabulary = self.shapes
        c = F.normalize(torch.randn(vocabulary, dim, generator=random), dim=1)
        target = torch.randint(vocabulary, (tokens,), generator=random)
        noise = F.normalize(torch.randn(tokens, dim, generator=random), dim=1)
        return self.scale * c[target] + noise, c, target

    def measure(self) -> dict[str, dict[str, float]]:
        e, c, target = (x.to(self.bench.device) for x in self.drawn())
        seen: list[Skipped] = []

        def cut(e: Tensor, c: Tensor, target: Tensor) -> Tensor:
            return cut_cross_entropy(
                e, c, target, softcap=self.softcap, filter_below=self.filter_below, seen=seen,
                **self.block,
            )  # fmt: skip

        reference = whole(F.cross_entropy, self.softcap)
        value, gradient = step(cut if self.head == "cut" else reference, e, c, target)
        truth, exact = step(reference, e.double(), c.double(), target)
        blocks, skipped = seen[0] if seen else Skipped(1, 0)
        return {
            "loss": {"value": float(value), "error": float((value - truth).abs())},
            "gradient": {"error": float((gradient - exact).norm() / exact.norm())},
            "blocks": {"skipped": skipped / blocks},
        }
