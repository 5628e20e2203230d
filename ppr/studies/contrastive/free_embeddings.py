"""Embeddings without an encoder: the minimum of a loss over points of the unit sphere.

The setting of the theorems: every embedding is a free unit vector, in float64, so what a minimiser
finds can be held against a closed form to many digits. Not a study itself, but what several share.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.seeding import generator
from ppr.errors import RunFailed

Loss = Callable[[Tensor], Tensor]
MEMORY = 20
"""Pairs of steps that L-BFGS keeps to model the curvature."""
UPHILL = 1e-9
"""A rise of the loss, relative to it, that is more than rounding."""


def random_sphere(*shape: int, seed: int, purpose: str) -> Tensor:
    """Unit vectors in float64, drawn on the CPU: the same on every machine."""
    random = generator(torch.device("cpu"), seed, purpose)
    return F.normalize(torch.randn(*shape, dtype=torch.float64, generator=random), dim=-1)


def minimise(loss: Loss, start: Tensor, steps: int) -> Tensor:
    """Where L-BFGS with a strong Wolfe line search gets from `start`, as unit vectors [..., D].

    The loss must normalise the vectors itself, as the losses of ppr do: their lengths are free.

    Raises:
        RunFailed: the loss is not finite on the way, or higher at the end than at the start.
    """
    x = start.clone().requires_grad_()
    search = torch.optim.LBFGS(
        [x],
        max_iter=steps,
        max_eval=2 * steps,
        history_size=MEMORY,
        tolerance_grad=1e-13,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        search.zero_grad()
        value = loss(x)
        if not value.isfinite():
            raise RunFailed(f"the loss is {value.item():g} on the way to its minimum")
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        found = F.normalize(x, dim=-1)
        before, after = loss(start).item(), loss(found).item()
    if after > before + UPHILL * abs(before):
        raise RunFailed(f"the minimiser went from a loss of {before:g} to {after:g}")
    return found


def simplex(n: int, like: Tensor | None = None) -> Tensor:
    """The Gram matrix [n, n] of n unit vectors as far from each other as can be: 1 and -1/(n-1)."""
    eye = torch.eye(n, dtype=torch.float64, device=None if like is None else like.device)
    return (n * eye - 1) / (n - 1)


def off_diagonal(matrix: Tensor) -> Tensor:
    """The entries [n (n-1)] of [n, n] beside the diagonal."""
    return matrix[~torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)]


def pair_similarities(a: Tensor, b: Tensor) -> dict[str, float]:
    """Mean cosine of the matching rows of unit vectors [N, D], of all others, and its spread."""
    cosines = a @ b.T
    negatives = off_diagonal(cosines)
    return {
        "positive": cosines.diagonal().mean().item(),
        "negative": negatives.mean().item(),
        "negative_spread": negatives.std(correction=0).item(),
    }
