"""Two-layer ReLU regression with weight decay, as a network and as convex programs.

Kim and Pilanci, "Convex Relaxations of ReLU Neural Networks Approximate Global Optima in Polynomial
Time", ICML 2024, arXiv:2402.03625. For data X [n, d], y [n], gates g_i, D_i = diag(1[X g_i >= 0]),

    network   p* = min (1/2) |sum_j ReLU(X u_j) a_j - y|^2 + (beta/2) sum_j (|u_j|^2 + a_j^2)
    exact     min (1/2) |sum_i D_i X (v_i - w_i) - y|^2 + beta sum_i (|v_i| + |w_i|), over all
              patterns D_i, with (2 D_i - I) X v_i >= 0 and the same of w_i: it equals p*
    relaxed   p~ = min (1/2) |sum_i D_i X w_i - y|^2 + beta sum_i |w_i|, without those cones

A unit's best scale makes (|u|^2 + a^2)/2 = |u| |a|, by which every network is counted here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    X: Tensor
    y: Tensor
    beta: float


def planted(n: int, d: int, share: float, random: torch.Generator, units: int = 5) -> Problem:
    """Gaussian inputs, a network of a few units, noise of 0.1; beta is a share of |X'y|_inf."""
    X = torch.randn(n, d, generator=random, dtype=torch.float64)
    W = torch.randn(d, units, generator=random, dtype=torch.float64) / math.sqrt(d)
    signs = 2.0 * torch.randint(2, (units,), generator=random) - 1
    noise = torch.randn(n, generator=random, dtype=torch.float64)
    y = (X @ W).relu() @ signs.double() + 0.1 * noise
    return Problem(X, y, share * (X.T @ y).abs().max().item())


def train(
    problem: Problem, width: int, restarts: int, steps: int, random: torch.Generator
) -> float:
    """The least value over networks trained side by side: Adam, its rate on a cosine."""
    X, y, beta = problem.X, problem.y, problem.beta
    d = X.shape[1]
    u = torch.randn(restarts, d, width, generator=random, dtype=torch.float64) / math.sqrt(d)
    a = torch.randn(restarts, width, generator=random, dtype=torch.float64) / math.sqrt(width)
    optimizer = torch.optim.Adam([u.requires_grad_(), a.requires_grad_()], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def misfit() -> Tensor:
        residual = ((X @ u).relu() * a[:, None]).sum(2) - y
        return residual.square().sum(1) / 2

    for _ in range(steps):
        optimizer.zero_grad()
        decay = beta / 2 * (u.square().sum((1, 2)) + a.square().sum(1))
        torch.autograd.backward((misfit() + decay).sum())
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        balanced = misfit() + beta * (u.norm(dim=1) * a.abs()).sum(1)
    return float(balanced.min())


def gates(problem: Problem, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Gaussian gates [d, P] of different patterns, and these patterns [n, P]."""
    g = torch.randn(problem.X.shape[1], count, generator=random, dtype=torch.float64)
    patterns = (problem.X @ g >= 0).double()
    kept: dict[bytes, int] = {}
    for i, column in enumerate(patterns.T.bool().numpy()):
        kept.setdefault(column.tobytes(), i)
    some = list(kept.values())
    return g[:, some], patterns[:, some]


def gated_lasso(
    problem: Problem, patterns: Tensor, tolerance: float = 1e-3, steps: int = 5000
) -> tuple[Tensor, float, float]:
    """FISTA with restarts: weights [d, P], their value, and a lower bound on the least value."""
    X, y, beta = problem.X, problem.y, problem.beta
    # The largest eigenvalue of A A^T, A w = sum_i D_i X w_i, is that of a sum over gates.
    gram = (X @ X.T) * (patterns @ patterns.T)
    rate = 1 / torch.linalg.eigvalsh(gram)[-1].item()
    W = torch.zeros(X.shape[1], patterns.shape[1], dtype=torch.float64)
    ahead, momentum = W, 1.0
    value, bound = math.inf, 0.0
    for step in range(steps):
        slope = X.T @ (patterns * ((patterns * (X @ ahead)).sum(1) - y)[:, None])
        moved = ahead - rate * slope
        norms = moved.norm(dim=0).clamp(min=1e-300)
        new = moved * (1 - rate * beta / norms).clamp(min=0)
        if ((ahead - new) * (new - W)).sum() > 0:  # it goes back: begin the momentum anew
            momentum = 1.0
        grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / grown * (new - W)
        W, momentum = new, grown
        if step % 20 == 0 or step == steps - 1:
            residual = y - (patterns * (X @ W)).sum(1)
            value = (residual.square().sum() / 2 + beta * W.norm(dim=0).sum()).item()
            largest = (X.T @ (patterns * residual[:, None])).norm(dim=0).max().item()
            dual = min(1.0, beta / largest) * residual
            bound = max(bound, ((y.square().sum() - (y - dual).square().sum()) / 2).item())
            if value - bound <= tolerance * value:
                break
    return W, value, bound


def cone_split(problem: Problem, W: Tensor, g: Tensor, patterns: Tensor) -> float:
    """The value of a network made of relaxed weights, each split into two within its gate's cone.

    w = v - u with v and u in the cone and |v| + |u| small (SLSQP from a point on the gate's own
    ray, and moved along it until it is feasible): the same fit, so an upper bound on p*.
    """
    residual = (patterns * (problem.X @ W)).sum(1) - problem.y
    total = residual.square().sum().item() / 2
    for i in (W.norm(dim=0) > 1e-8).nonzero()[:, 0].tolist():
        signed = ((2 * patterns[:, i] - 1)[:, None] * problem.X).numpy()
        total += problem.beta * _split(W[:, i].numpy(), g[:, i].numpy(), signed)
    return float(total)


def _split(w: Array, ray: Array, signed: Array) -> float:
    """The least |v| + |v - w| found with signed v >= 0 and signed (v - w) >= 0."""
    both = np.vstack([signed, signed])
    offset = np.concatenate([np.zeros(len(signed)), signed @ w])
    along = both @ ray

    def feasible(v: Array) -> Array:
        return np.asarray(v + max(0.0, float(((offset - both @ v) / along).max())) * ray)

    def cost(v: Array) -> tuple[float, Array]:
        first, second = np.linalg.norm(v) + 1e-12, np.linalg.norm(v - w) + 1e-12
        return float(first + second), v / first + (v - w) / second

    start = feasible(w)
    found = minimize(
        cost,
        start,
        jac=True,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda v: both @ v - offset, "jac": lambda v: both},
        options={"maxiter": 60},
    )
    return min(cost(start)[0], cost(feasible(found.x))[0])


def exact_in_the_plane(problem: Problem) -> float:
    """The exact program for d = 2, where the cones lie between neighbouring borders of patterns."""
    X, y, beta = problem.X.numpy(), problem.y.numpy(), problem.beta
    angles = np.arctan2(X[:, 1], X[:, 0])
    borders = np.sort(np.concatenate([angles + np.pi / 2, angles - np.pi / 2]) % (2 * np.pi))
    rays = np.stack([np.cos(borders), np.sin(borders)], axis=1)
    pairs = np.stack([rays, np.roll(rays, -1, axis=0)], axis=1)  # [cones, 2, 2]
    fits = np.maximum(np.einsum("nd,ckd->nck", X, pairs), 0)  # linear within a cone
    signs = np.array([1.0, -1.0])

    def cost(x: Array) -> tuple[float, Array]:
        parts = x.reshape(2, len(pairs), 2)
        residual = np.einsum("nck,sck,s->n", fits, parts, signs) - y
        vectors = np.einsum("sck,ckd->scd", parts, pairs)
        norms = np.sqrt((vectors**2).sum(2) + 1e-20)
        slope = np.einsum("n,nck,s->sck", residual, fits, signs)
        slope = slope + beta * np.einsum("scd,ckd->sck", vectors / norms[..., None], pairs)
        return float((residual**2).sum() / 2 + beta * norms.sum()), slope.ravel()

    start = np.full(4 * len(pairs), 0.1)
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-10}
    found = minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start), options=options
    )
    return float(found.fun)
