"""Goldfish loss: next-token cross-entropy that leaves a fixed share of the tokens out.

Paper: Hans et al., "Be like a Goldfish, Don't Memorize! Mitigating Memorization in Generative
LLMs", NeurIPS 2024, arXiv:2406.10209:

    L = -1/|G| sum_i G_i log P(x_i | x_<i)

G_i is 0 for a share 1/k of the tokens. Under `hash` it is a function of the `context` tokens before
x_i, so that a passage loses the same tokens wherever and however often it is seen: those are never
learnt from it, and a model that recites must guess them. `random` draws anew at each step, `static`
leaves out every k-th position. The first `context` tokens of a text are kept under `hash`.

Not the released hash: that one (apply_goldfish in lit_gpt/utils.py of ahans30/goldfish-loss)
multiplies the token ids, so it knows no order and is the same for all windows that hold a 0, and
its window ends with the token itself. Here the key is a polynomial of the ids, modulo a prime,
squared to mix it, and compared with 1/k as a fraction of the prime.

Shapes: outputs [N, T, V]; tokens [N, T] int64, those to be predicted; mask [N, T] bool, or None. In
nats. Half precision is computed in float32. No token left gives 0 with a gradient of 0.

Raises ValueError for shapes that do not fit.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ppr.fields import Count
from ppr.losses._positions import checked, masked_mean, negative_log_likelihood
from ppr.registry import component

PRIME = 2_147_483_647  # 2^31 - 1: products of two residues fit in an int64
BASE = 1_103_515_245
FACTOR = 1_583_458_089


@component("loss", family="sequence")
class GoldfishLoss(nn.Module):
    """`k`: one token in k is left out; `context`: the tokens that decide, under `hash`."""

    def __init__(
        self,
        *,
        k: Count = 4,
        context: Count = 13,
        strategy: Literal["hash", "random", "static"] = "hash",
    ) -> None:
        super().__init__()
        self.k = k
        self.context = context
        self.strategy = strategy

    def forward(self, outputs: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        kept = self.kept(tokens)
        outputs, tokens = checked(outputs, tokens, mask)
        if mask is not None:
            kept = kept & mask.bool()
        return masked_mean(negative_log_likelihood(outputs, tokens), kept)

    def kept(self, tokens: Tensor) -> Tensor:
        """G of tokens [N, T], bool."""
        if self.strategy == "hash":
            return keys(tokens, self.context) * self.k >= PRIME
        if self.strategy == "random":
            return torch.rand(tokens.shape, device=tokens.device) >= 1 / self.k
        position = torch.arange(tokens.shape[-1], device=tokens.device)
        return (position % self.k != self.k - 1).expand_as(tokens)


def keys(tokens: Tensor, context: int) -> Tensor:
    """A number below PRIME from the `context` tokens before each; PRIME where there are fewer."""
    found = torch.full_like(tokens, PRIME)
    if tokens.shape[-1] <= context:
        return found
    windows = tokens[..., :-1].unfold(-1, context, 1)  # the first ends before token `context`
    key = torch.zeros_like(windows[..., 0])
    for place in range(context):
        key = (key * BASE + windows[..., place] + 1) % PRIME
    found[..., context:] = key * key % PRIME * FACTOR % PRIME
    return found
