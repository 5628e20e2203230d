"""iSogCLR: a global contrastive loss in which every sample learns a temperature of its own.

Paper: Qiu et al., "Not All Semantics are Created Equal: Contrastive Self-supervised Learning with
Automatic Temperature Individualization", ICML 2023, arXiv:2305.11965. The robust objective of a
sample i with positive p and K negatives, the dual of a worst case over the weights w of its
negatives within KL(w || uniform) <= rho:

    F_i(z, tau_i) = tau_i log g_i + tau_i rho - z_i.p_i,    g_i = 1/K sum_j e^{z_i.z_j / tau_i}

minimised over the network and over tau_i in [tau_min, tau_max]. So that a small batch does for all
negatives, g_i is averaged over the epochs, s_i <- (1-gamma) s_i + gamma g_i, and

    dL/dz = mean_i sum_j e^{z_i.z_j/tau_i} / (K s_i) d(z_i.z_j) - d(z_i.p_i)
    d_i   = log s_i + rho - sum_j e^{z_i.z_j/tau_i} / (K s_i) z_i.z_j / tau_i
    u_i   <- (1-beta) u_i + beta clip(d_i, +-3),    tau_i <- clip(tau_i - eta u_i)

This follows the authors' code (github.com/zhqiu/contrastive-learning-iSogCLR at 4f28823,
unimodal_exps/losses.py, SogCLR_DRO_Loss; settings of unimodal_exps/readme.md): the negatives of a
view are all views of other samples; s_i and tau_i are one for all views of a sample, which average
their g and d; a sample that is seen first takes s = g. Different from it:

- the loss is the mean over views, there their sum, twice as much for two;
- its value is F with log s_i for log g_i; there it is that of a surrogate with the same gradient;
- s is kept as a logarithm, so it cannot overflow at small temperatures.

With gamma 1 and eta 0, or without indices (then nothing is kept, and tau_i is `start`), this is
tau times NT-Xent without the positive in its denominator, plus a constant.

Shapes: embeddings [N, V, D], or [N, D], which holds no pair and gives 0; labels are ignored;
indices [N] are the samples' numbers in the training split. Embeddings are L2-normalised here, half
precision is computed in float32. Without negatives it gives 0. Memory is linear in N. The state (s,
tau, u) is in buffers, and goes forward with each call in training mode.

Raises ValueError for embeddings of another rank, or indices where it has not seen the targets.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ppr.fields import Fraction, NonNegative, Positive
from ppr.losses._batch import normalised_views
from ppr.losses._partition import log_partition
from ppr.registry import component

LARGEST_STEP = 3.0
"""d_i is clipped to this, as in the authors' code."""


def log_mean_exp(z: Tensor, tau: Tensor) -> Tensor:
    """log g [N, V] of unit vectors z [N, V, D] at temperatures tau [N]."""
    samples, views = z.shape[:2]
    anchors = z / tau[:, None, None]
    # own=0 leaves out the sample itself among every view's rows: a pair of one sample is no
    # negative.
    parts = [
        torch.stack(
            [
                log_partition(anchors[:, v], z[:, other].contiguous(), own=0)
                for other in range(views)
            ]
        ).logsumexp(0)
        for v in range(views)
    ]
    return torch.stack(parts, 1) - math.log(views * (samples - 1))


@component("loss", family="indexed")
class ISogCLRLoss(nn.Module):
    """`start` is the first temperature, `momentum` beta, `eta` the step of the temperatures."""

    by_index: ClassVar[bool] = True
    log_s: Tensor
    tau: Tensor
    u: Tensor

    def __init__(
        self,
        *,
        rho: NonNegative = 0.4,
        gamma: Fraction = 0.8,
        eta: NonNegative = 0.03,
        momentum: Fraction = 0.5,
        start: Positive = 0.1,
        tau_min: Positive = 0.05,
        tau_max: Positive = 1.0,
    ) -> None:
        super().__init__()
        self.rho = rho
        self.gamma = gamma
        self.eta = eta
        self.momentum = momentum
        self.start = start
        self.tau_min, self.tau_max = tau_min, tau_max

    def see(self, targets: Tensor, classes: int) -> None:
        """A temperature for each training sample."""
        del classes
        samples = len(targets)
        self.register_buffer("log_s", torch.full((samples,), -math.inf))
        self.register_buffer("tau", torch.full((samples,), self.start))
        self.register_buffer("u", torch.zeros(samples))

    def forward(
        self, embeddings: Tensor, labels: Tensor | None = None, indices: Tensor | None = None
    ) -> Tensor:
        del labels
        rows, _, _ = normalised_views(embeddings, None)
        if embeddings.dim() == 2 or embeddings.shape[1] < 2 or len(embeddings) < 2:
            return rows.sum() * 0
        z = rows.view(embeddings.shape)
        if indices is None:
            tau = z.new_full((len(z),), self.start)
        elif not hasattr(self, "tau"):
            raise ValueError("isogclr: needs `see` of the training targets before indices")
        else:
            tau = self.tau[indices].to(z.dtype)
        log_g = log_mean_exp(z, tau)
        log_s = log_g.detach() if indices is None else self._averaged(indices, log_g.detach())
        if indices is not None and self.training:
            self._step(indices, z.detach(), tau, log_s)
        # The value of log s, the gradient of g / s.
        smooth = log_s + (log_g - log_s).exp() - (log_g - log_s).exp().detach()
        views = z.shape[1]
        positive = (z.sum(1).square().sum(1) - views) / (views * (views - 1))
        objective: Tensor = (tau * (smooth.mean(1) + self.rho) - positive).mean()
        return objective

    def _averaged(self, indices: Tensor, log_g: Tensor) -> Tensor:
        """log s [N, V] of every view, from the sample's s and the view's own g."""
        before = self.log_s[indices].to(log_g.dtype)[:, None]
        keep = math.log1p(-self.gamma) if self.gamma < 1 else -math.inf
        gain = math.log(self.gamma) if self.gamma > 0 else -math.inf
        return torch.where(before == -math.inf, log_g, torch.logaddexp(before + keep, log_g + gain))

    def _step(self, indices: Tensor, z: Tensor, tau: Tensor, log_s: Tensor) -> None:
        """Move s, u and tau of the batch's samples."""
        views = log_s.shape[1]
        with torch.enable_grad():
            at = tau.clone().requires_grad_()
            # d/dtau of g / s is -(sum_j e^{z_i.z_j/tau} z_i.z_j / (tau^2 K)) / s
            ratio = (log_mean_exp(z, at) - log_s).exp().mean(1)
            (slope,) = torch.autograd.grad(ratio.sum(), at)
        d = (log_s.mean(1) + self.rho + tau * slope).clamp_(-LARGEST_STEP, LARGEST_STEP)
        u = (1 - self.momentum) * self.u[indices] + self.momentum * d.to(self.u.dtype)
        self.u[indices] = u
        self.log_s[indices] = (log_s.logsumexp(1) - math.log(views)).to(self.log_s.dtype)
        moved = self.tau[indices] - self.eta * u
        self.tau[indices] = moved.clamp_(self.tau_min, self.tau_max)
