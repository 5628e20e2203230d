"""LDR-KL: the worst case over label distributions, between cross-entropy, hinge and mean margin.

Paper: Zhu, Ying, Yang, "Label Distributionally Robust Losses for Multi-class Classification:
Consistency, Robustness and Adaptivity", ICML 2023, arXiv:2112.14869. With scores f of K classes,
margins c_ky = `margin` for k != y and 0 for k = y, and p in the simplex,

    L = max_p sum_k p_k (f_k - f_y + c_ky) - lambda KL(p || uniform)
      = lambda log( 1/K sum_k exp((f_k - f_y + c_ky) / lambda) )

lambda = 1 without a margin is cross-entropy less log K; lambda -> 0 the hinge of the largest
margin; lambda -> inf the mean over all K of f_k - f_y + c_ky, which is symmetric.

ALDR-KL, where `alpha` is given, has a lambda a training sample, kept by its number and moved before
each use from the l that it was:

    lambda_i = lambda - lambda/(alpha log K) KL(softmax(f / l) || uniform)
    L_i = LDR-KL of lambda_i, no gradient through it, - alpha log K/(2 lambda) (lambda_i - lambda)^2

so that confident samples have a small one. `scores` says what f is made of the logits z: z as they
are; `mean`, z over the mean of |z|, as the released ALDR has it; `softplus`, softplus(z) over its
mean, as the released LDR. Formulas, alpha = 2, lambda = 10, margin 0.1 and the 1e-5 added to the
softmax as in loss.py and experiment.py of Optimization-AI/ICML2023_LDR at 732fc85.

Shapes: logits [N, K]; target [N] integers or [N, K] probabilities q (then f_y is sum_k q_k f_k and
c_ky = margin (1 - q_k)); with `alpha` also indices [N], and `see` before. Half precision is
computed in float32. An empty batch gives 0 with a gradient of 0.

Raises ValueError where `alpha` is given and the samples' numbers are not.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.fields import NonNegative, Positive
from ppr.losses._batch import widen
from ppr.registry import component

FLOOR = 1e-5
"""Added to probabilities, so that their logarithm is finite."""


@component("loss", family="classification")
class LDRLoss(nn.Module):
    lambdas: Tensor

    def __init__(
        self,
        *,
        lam: Positive = 10.0,
        margin: NonNegative = 0.1,
        scores: Literal["logits", "mean", "softplus"] = "softplus",
        alpha: Positive | None = None,
    ) -> None:
        super().__init__()
        self.lam = lam
        self.margin = margin
        self.scores = scores
        self.alpha = alpha
        self.by_index = alpha is not None

    def see(self, targets: Tensor, classes: int) -> None:
        """Give every training sample a lambda, where they differ."""
        if self.by_index:
            self.register_buffer("lambdas", torch.full((len(targets),), self.lam))

    def forward(self, logits: Tensor, target: Tensor, indices: Tensor | None = None) -> Tensor:
        f = self._scores(widen(logits))
        shares = target if target.is_floating_point() else F.one_hot(target, f.shape[1])
        shares = shares.to(f.dtype)
        margins = f - (shares * f).sum(1, keepdim=True) + self.margin * (1 - shares)
        if self.alpha is None:
            losses = ldr_kl(margins, margins.new_tensor(self.lam))
        else:
            if indices is None or not hasattr(self, "lambdas"):
                raise ValueError("LDRLoss: alpha needs see(training_targets, classes) and indices")
            lambdas = self._moved(f.detach(), self.lambdas[indices].to(f.dtype))
            self.lambdas[indices] = lambdas.to(self.lambdas.dtype)
            losses = ldr_kl(margins, lambdas) - self._cost(lambdas, f.shape[1])
        return losses.sum() / max(1, len(losses))

    def _scores(self, logits: Tensor) -> Tensor:
        if self.scores == "logits":
            return logits
        positive = F.softplus(logits) if self.scores == "softplus" else logits
        tiny = torch.finfo(logits.dtype).tiny
        scaled = positive / positive.abs().mean(1, keepdim=True).clamp(min=tiny)
        if self.scores == "mean" or not logits.shape[1]:
            return scaled
        # Below -50 softplus(z) is e^z to the last digit; it underflows long before its ratio does.
        low = logits.amax(1, keepdim=True) < -50
        return torch.where(low, logits.softmax(1) * logits.shape[1], scaled)

    def _moved(self, f: Tensor, lambdas: Tensor) -> Tensor:
        assert self.alpha is not None
        classes = f.shape[1]
        p = F.normalize((f / lambdas.unsqueeze(1)).softmax(1) + FLOOR, p=1.0, dim=1)
        divergence = (p * (classes * p).log()).sum(1)
        return self.lam - self.lam / (self.alpha * math.log(classes)) * divergence

    def _cost(self, lambdas: Tensor, classes: int) -> Tensor:
        assert self.alpha is not None
        return self.alpha * math.log(classes) / (2 * self.lam) * (lambdas - self.lam).square()


def ldr_kl(margins: Tensor, lam: Tensor) -> Tensor:
    """LDR-KL [N] of f_k - f_y + c_ky [N, K], with one lambda or [N] of them."""
    scaled = (margins / lam.unsqueeze(-1)).logsumexp(1) - math.log(margins.shape[1])
    return lam * scaled
