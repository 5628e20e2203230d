"""KLoM: how far the margins of unlearned models are from those of models never trained on a sample.

Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", 2024. The margin
of a model on a sample is logit_y - logsumexp of the other logits. Of each sample, over many models
(each of another seed), with the margins clipped to [-100, 100] and put into `bins` equal bins from
the least to the greatest of both sides,

    KLoM = KL( margins of unlearned models || margins of retrained ones )

in nats, the second's probability at least 1e-5 where the first has any: compute_binned_KL_div in
unlearning_bench/eval.py of https://github.com/RoyRin/data-unlearning-bench. Two sets of retrained
models are not at 0, for each is a sample.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CLIP = 100.0
LEAST = 1e-5


def margins(logits: Tensor, targets: Tensor) -> Tensor:
    """[..., N, C] and [N] -> [..., N]."""
    own = F.one_hot(targets, logits.shape[-1]).bool()
    right = logits.masked_fill(~own, 0).sum(-1)
    return right - logits.masked_fill(own, -torch.inf).logsumexp(-1)


def klom(unlearned: Tensor, retrained: Tensor, bins: int = 20) -> Tensor:
    """Margins [models, N] of both sides -> KL of each sample, [N]."""
    sides = [side.double().clamp(-CLIP, CLIP) for side in (unlearned, retrained)]
    low = torch.minimum(sides[0].amin(0), sides[1].amin(0))
    high = torch.maximum(sides[0].amax(0), sides[1].amax(0))
    width = torch.where(high > low, high - low, 1.0)
    p, q = (_shares(((side - low) / width), bins) for side in sides)
    divergence: Tensor = torch.special.xlogy(p, p / q.clamp(min=LEAST)).sum(0)
    return divergence


def _shares(place: Tensor, bins: int) -> Tensor:
    """The share of models in each bin, [bins, N]; `place` is from 0 to 1."""
    number = (place * bins).long().clamp(max=bins - 1)
    return F.one_hot(number, bins).double().mean(0).T
