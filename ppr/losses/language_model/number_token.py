"""Number token loss: next-token cross-entropy that knows how far apart two digits are.

Paper: Zausinger et al., "Regress, Don't Guess: A Regression-like Loss on Number Tokens for
Language Models", ICML 2025, arXiv:2411.02083. Where the next token is a digit of value y,

    NTL-WAS = sum_j p_j |y - V_j|            NTL-MSE = (y - sum_j p_j V_j)^2

with p the softmax over the ten digit tokens alone, and V_j their values: the Wasserstein-1 distance
to the digit, or the squared error of the mean. Then

    L = CE + weight * NTL

CE is the mean over the positions that count, NTL over those of them whose token is a digit. NTL-MSE
is 0 at wrong answers too: half on 0 and half on 8 have the mean 4.

The formulas and means are those of ntloss/core.py of ai4sd/number-token-loss, without its later
re-weighting by the probability of digits; weight 0.3 is the paper's.

Shapes: outputs [N, *S, C]; targets [N, *S] integers, the digits 0 to 9 being the tokens from
`zero` on; mask [N, *S] bool, or None. Half precision is computed in float32. No position to count
gives 0 with a gradient of 0.

Raises ValueError for shapes that do not fit.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ppr.fields import NonNegative, Whole
from ppr.losses._positions import checked, masked_mean, negative_log_likelihood
from ppr.registry import component

DIGITS = 10


@component("loss", family="sequence")
class NumberTokenLoss(nn.Module):
    def __init__(
        self,
        *,
        variant: Literal["wasserstein", "mse"] = "wasserstein",
        weight: NonNegative = 0.3,
        zero: Whole = 0,
    ) -> None:
        super().__init__()
        self.variant = variant
        self.weight = weight
        self.zero = zero

    def forward(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        outputs, targets = checked(outputs, targets, mask)
        entropy = masked_mean(negative_log_likelihood(outputs, targets), mask)
        values = targets - self.zero
        counted = (values >= 0) & (values < DIGITS)
        if mask is not None:
            counted = counted & mask.bool()
        digits = outputs[..., self.zero : self.zero + DIGITS]
        far = number_distance(digits.softmax(-1), values.to(outputs.dtype), self.variant)
        return entropy + self.weight * masked_mean(far, counted)


def number_distance(p: Tensor, y: Tensor, variant: str) -> Tensor:
    """From probabilities of the digits [..., 10] to the digit's value [...]: [...]."""
    values = torch.arange(DIGITS, dtype=p.dtype, device=p.device)
    if variant == "mse":
        return (y - (p * values).sum(-1)) ** 2
    return (p * (y.unsqueeze(-1) - values).abs()).sum(-1)
