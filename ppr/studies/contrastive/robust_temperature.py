"""The temperature that iSogCLR learns for a sample, against the dual optimum it should be.

Qiu et al., arXiv:2305.11965; the loss and its notation in losses/isogclr.py. The embeddings stay
fixed, random on the sphere, two views of `samples` samples, float64; the whole set is one batch and
nothing is averaged (gamma 1, momentum 1), so that the loss's own steps in tau are gradient descent
on F_i. By duality its minimum over tau is where the weights of the negatives have

    KL(w || uniform) = rho,    w_j proportional to e^{z_i.z_j / tau_i}

on average over the views. It exists for rho below log K less the log of how many negatives are
nearest; above, tau ends at tau_min. Theory: the root of rho - KL by bisection.

Metrics: `measured/tau` and `theory/tau`, means over samples; `measured/error`, the largest relative
difference of the two; `measured/kl`, the mean of KL at the temperatures found.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from ppr.engine.bench import Bench
from ppr.fields import Annotated, Count, Ge, NonNegative
from ppr.losses.contrastive.isogclr import ISogCLRLoss
from ppr.registry import component
from ppr.studies.contrastive.free_embeddings import random_sphere
from ppr.studies.study import Study

ETA = 0.05
"""Small enough to be stable at tau_min, where F curves most."""


@component("task")
class RobustTemperature(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        rho: NonNegative = 0.4,
        samples: Annotated[int, Ge(3)] = 32,
        dim: Annotated[int, Ge(2)] = 16,
        steps: Count = 600,
    ) -> None:
        super().__init__(bench)
        self.rho = rho
        self.samples, self.dim, self.steps = samples, dim, steps

    def measure(self) -> dict[str, dict[str, float]]:
        z = random_sphere(self.samples, 2, self.dim, seed=self.bench.seed, purpose="temperature")
        loss = ISogCLRLoss(rho=self.rho, gamma=1.0, momentum=1.0, eta=ETA, start=0.5)
        loss.see(torch.zeros(self.samples, dtype=torch.long), 1)
        loss.double().to(self.bench.device)
        indices = torch.arange(self.samples, device=self.bench.device)
        with torch.no_grad():
            for _ in range(self.steps):
                loss(z.to(self.bench.device), indices=indices)
        found = loss.tau.cpu().numpy()
        negatives = _negatives(z.numpy())
        best = np.array([_optimum(s, self.rho, loss.tau_min, loss.tau_max) for s in negatives])
        kl = [_kl(s, tau) for s, tau in zip(negatives, found, strict=True)]
        return {
            "measured": {
                "tau": float(found.mean()),
                "error": float(np.abs(found / best - 1).max()),
                "kl": float(np.mean(kl)),
            },
            "theory": {"tau": float(best.mean())},
        }


def _negatives(z: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Of each sample, the cosines [2, K] of its views with those of all others."""
    everyone = np.arange(len(z))
    return [z[i] @ z[everyone != i].reshape(-1, z.shape[2]).T for i in everyone]


def _kl(cosines: NDArray[np.float64], tau: float) -> float:
    """KL(w || uniform) = log K - H(w), the mean of a sample's views."""
    log_w = cosines / tau
    log_w -= logsumexp(log_w, axis=1, keepdims=True)
    return float((np.exp(log_w) * (log_w + np.log(cosines.shape[1]))).sum(1).mean())


def _optimum(cosines: NDArray[np.float64], rho: float, low: float, high: float) -> float:
    """The temperature at which KL, which falls with it, is rho; an end of the range if none is."""
    if _kl(cosines, low) <= rho:
        return low
    if _kl(cosines, high) >= rho:
        return high
    return float(brentq(lambda tau: _kl(cosines, tau) - rho, low, high, xtol=1e-14))
