"""The diagonal of a classifier's Fisher information, exact over its own predictions.

    F_j = 1/N sum_x sum_y p(y | x) (d log p(y | x) / d theta_j)^2

Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", 2021, section 3.2, the
expectation over y taken in full, as compute_fisher_for_model in model_merging/fisher.py of
https://github.com/mmatena/model_merging. Gradients are squared one example at a time: the square
of a batch's gradient is something else.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

CHUNK = 64
"""Examples whose gradients are held at a time, one for each class."""


def diagonal_fisher(
    network: nn.Module, parameters: Mapping[str, Tensor], inputs: Tensor
) -> dict[str, Tensor]:
    """F of each of `parameters`, by name, over inputs [N, ...] that the network maps to logits."""

    def log_probabilities(own: dict[str, Tensor], x: Tensor) -> Tensor:
        logits: Tensor = functional_call(network, own, (x[None],))
        return logits[0].log_softmax(0)

    def squares(own: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
        p = log_probabilities(own, x).exp()
        slopes = jacrev(log_probabilities)(own, x)
        return {name: torch.tensordot(p, slope**2, 1) for name, slope in slopes.items()}

    point = {name: tensor.detach() for name, tensor in parameters.items()}
    total = {name: torch.zeros_like(tensor) for name, tensor in point.items()}
    for part in torch.split(inputs, CHUNK):
        for name, each in vmap(squares, in_dims=(None, 0))(point, part).items():
            total[name] += each.sum(0)
    return {name: tensor / len(inputs) for name, tensor in total.items()}
