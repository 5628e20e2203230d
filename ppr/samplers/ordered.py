"""Ordered SGD on batches: of every `candidates` random batches, the `keep` of the highest loss.

Cho et al., "Mini-Batch Optimization of Contrastive Loss", arXiv:2307.05906, and the authors' code
(krafton-ai/mini-batch-cl, utils.py: osgd_kb_loose). At the beginning of an epoch all pairs are
embedded and shuffled into batches; the loss that orders them is InfoNCE at this temperature. So an
epoch trains on a share keep/candidates of the samples. There the loss is NT-Xent, and the README's
command keeps 150 of 1500.

Raises BadRequest for more batches to keep than candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.errors import BadRequest
from ppr.fields import Count, Positive
from ppr.losses.contrastive.infonce import infonce
from ppr.registry import component


@component("sampler")
class Ordered:
    def __init__(
        self, *, candidates: Count = 1500, keep: Count = 150, temperature: Positive = 0.1
    ) -> None:
        if keep > candidates:
            most = f"must be at most sampler.candidates={candidates}"
            raise BadRequest(f"sampler.keep={keep}: {most}")
        self.candidates = candidates
        self.keep = keep
        self.temperature = temperature

    def steps(self, samples: int, batch_size: int) -> int:
        batches = samples // batch_size
        together = min(self.candidates, batches)
        return batches // together * min(self.keep, together)

    def choose(self, pairs: Tensor, batch_size: int, random: torch.Generator) -> Tensor:
        """Sample numbers [steps, batch_size] by the embeddings [N, 2, D] of all."""
        batches = len(pairs) // batch_size
        together = min(self.candidates, batches)
        used = batches // together * together
        order = torch.randperm(len(pairs), generator=random)[: used * batch_size]
        order = order.view(-1, together, batch_size)
        losses = [
            infonce(*pairs[rows.to(pairs.device)].unbind(1), temperature=self.temperature)
            for rows in order.flatten(0, 1)
        ]
        grouped = torch.stack(losses).cpu().view(-1, together)
        highest = grouped.topk(min(self.keep, together)).indices
        return order.gather(1, highest[..., None].expand(-1, -1, batch_size)).flatten(0, 1)
