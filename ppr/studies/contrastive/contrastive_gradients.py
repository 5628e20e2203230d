"""How hard InfoNCE pulls and pushes: its gradient's identities, and its limits in the temperature.

Wang and Liu, "Understanding the Behaviour of Contrastive Loss", arXiv:2012.09740. For an anchor i
with cosines s_ij and P_ij = softmax_j(s_ij / t):

    L_i = -log P_ii
    dL_i/ds_ii = -(1/t) sum_{j != i} P_ij         dL_i/ds_ij = (1/t) P_ij                       (a)
    r_i(s_ij) = |dL_i/ds_ij| / |dL_i/ds_ii| = e^{s_ij/t} / sum_{k != i} e^{s_ik/t}              (b)
    t -> 0:         t L_i -> max(max_{j != i} s_ij - s_ii, 0)                                   (c)
    t -> infinity:  t (L_i - log N) -> mean_j s_ij - s_ii, over all N including i              (d)

The config's loss, `infonce`, is differentiated as it is trained with: its gradient in a_i of unit
length is the sum over j of dL/ds_ij b_j less its radial part, for both directions. Embeddings are
random unit vectors, in float64.

Metrics `measured/…`:
    gradient_error   the largest difference of that gradient and the one from (a)
    balance_error    the largest of |sum_j dL_i/ds_ij| of (a), from autograd in the cosines
    penalty_error    the largest difference of r from its Boltzmann law (b), from the same
    entropy          the mean entropy of r over log(N-1): 1 where all negatives weigh alike
    cold_error, hot_error   the largest difference of the two sides of (c), (d) at t
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.fields import Annotated, Count, Ge
from ppr.losses.contrastive.infonce import infonce
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import random_sphere
from ppr.studies.study import Study


def anchor_losses(cosines: Tensor, temperature: float) -> Tensor:
    """L_i [N] of all cosines [N, N]."""
    logits = cosines / temperature
    return logits.logsumexp(1) - logits.diagonal()


@component("task", losses="two-tower")
class ContrastiveGradients(Study):
    def __init__(
        self, bench: Bench, *, samples: Annotated[int, Ge(3)] = 32, dim: Count = 32
    ) -> None:
        super().__init__(bench)
        self.samples, self.dim = samples, dim
        self.temperature = float(bench.build("loss").temperature)

    def measure(self) -> dict[str, dict[str, float]]:
        x = random_sphere(2, self.samples, self.dim, seed=self.bench.seed, purpose="gradients")
        a, b = x.to(self.bench.device)
        t, N = self.temperature, self.samples
        s = (a @ b.T).requires_grad_()
        eye = torch.eye(N, dtype=s.dtype, device=s.device)
        rows = (s / t).softmax(1) - eye  # t dL_i/ds_ij by (a)
        columns = (s / t).softmax(0) - eye
        expected = ((rows + columns) @ b / (2 * t * N)).detach()
        expected -= (expected * a).sum(1, keepdim=True) * a

        anchor = a.clone().requires_grad_()
        (grad,) = torch.autograd.grad(infonce(anchor, b, temperature=t), anchor)
        (by_cosine,) = torch.autograd.grad(anchor_losses(s, t).sum(), s)
        # 1 - P_ii is lost to rounding where P_ii is 1, so the negatives are summed instead.
        pushes = by_cosine.masked_fill(eye.bool(), 0)
        penalty = pushes / pushes.sum(1, keepdim=True)
        boltzmann = (s / t).masked_fill(eye.bool(), -math.inf).softmax(1)
        entropy = torch.special.entr(penalty).sum(1).mean() / math.log(N - 1)
        hardest = s.masked_fill(eye.bool(), -math.inf).amax(1)
        losses, matched = anchor_losses(s, t), s.diagonal()
        cold = (t * losses - (hardest - matched).clamp(min=0)).abs().max()
        hot = (t * (losses - math.log(N)) - (s.mean(1) - matched)).abs().max()
        measured = {
            "gradient_error": (grad - expected).abs().max().item(),
            "balance_error": by_cosine.sum(1).abs().max().item(),
            "penalty_error": (penalty - boltzmann).abs().max().item(),
            "entropy": entropy.item(),
            "cold_error": cold.item(),
            "hot_error": hot.item(),
        }
        return {"measured": measured}
