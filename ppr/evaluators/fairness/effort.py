"""The best that rejected samples can make of themselves: inputs after a bounded effort.

    dx* = argmax over |dx|_inf <= size of margin(x + dx),   dx zero on inputs that cannot be changed

by projected gradient ascent with signed steps of size / sqrt(t), t = 1 .. steps. Of a linear margin
the first step is the exact solution, size * sign(w) (Guldogan et al., "Equal Improvability", ICLR
2023, section 3; utils/effort.py of https://github.com/guldoganozgur/ei_fairness).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ppr.data.dataset import Dataset
from ppr.errors import BadRequest


def improvable_inputs(data: Dataset, by: str) -> Tensor:
    """1 for the inputs that effort can change, 0 for the others. [F]

    Raises:
        BadRequest: the data set does not say which they are.
    """
    if "improvable" not in data.extra:
        what = f"the data set {data.name!r} does not say which of its inputs effort can change"
        raise BadRequest(f"{by}: {what}; allowed: 0, or a tabular data set that does")
    return torch.tensor(data.extra["improvable"], dtype=torch.float32)


def best_effort(
    network: Callable[[Tensor], Tensor],
    inputs: Tensor,
    improvable: Tensor,
    size: float,
    steps: int = 1,
) -> Tensor:
    """The inputs [N, F] after the effort that raises the margin of class 1 over class 0 most."""
    inputs = inputs.detach()
    change = torch.zeros_like(inputs)
    for step in range(1, steps + 1):
        with torch.enable_grad():
            moved = (inputs + change).requires_grad_()
            logits = network(moved)
            (slope,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), moved)
        change = (change + size / step**0.5 * slope.sign() * improvable).clamp(-size, size)
    return inputs + change
