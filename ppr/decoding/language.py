"""What decoding asks of a language model, next-token probabilities, and what small models are.

Token 0 is the end of a text. A prefix [T] is followed by any of V tokens; after the end comes only
the end. Prefixes of a batch are alike in length, those that have ended filled with ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

END = 0


class LanguageModel(Protocol):
    """Prefixes [N, T] -> probabilities of the next token [N, V]."""

    def __call__(self, prefixes: Tensor) -> Tensor: ...


class Constraint(Protocol):
    """Whether a prefix [N, T] and a next token [N] can still become a text that is allowed. [N]"""

    def __call__(self, prefixes: Tensor, tokens: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class BigramModel:
    """`start` [V] and, after each token, `after` [V, V]."""

    start: Tensor
    after: Tensor

    def __call__(self, prefixes: Tensor) -> Tensor:
        if prefixes.shape[1] == 0:
            return self.start.expand(len(prefixes), -1)
        probabilities = self.after[prefixes[:, -1]]
        only_end = torch.nn.functional.one_hot(
            torch.full_like(prefixes[:, -1], END), len(self.start)
        )
        return torch.where(prefixes[:, -1:] == END, only_end.to(probabilities), probabilities)


def random_bigrams(vocabulary: int, random: torch.Generator) -> BigramModel:
    """Laws drawn uniformly, in float64."""
    draws = torch.rand(
        vocabulary + 1, vocabulary, generator=random, dtype=torch.float64, device=random.device
    )
    laws = draws.log().neg()
    laws = laws / laws.sum(1, keepdim=True)
    return BigramModel(laws[0], laws[1:])


def all_texts(vocabulary: int, length: int) -> Tensor:
    """Every text of at most `length` tokens before its end, as rows [·, length + 1]."""
    rows = [
        [*text, *[END] * (length + 1 - size)]
        for size in range(length + 1)
        for text in itertools.product(range(1, vocabulary), repeat=size)
    ]
    return torch.tensor(rows)


def allowed_mass(model: LanguageModel, constraint: Constraint, prefixes: Tensor) -> Tensor:
    """Next-token probabilities where they are allowed, 0 elsewhere. [N, V]"""
    probabilities = model(prefixes)
    N, V = probabilities.shape
    tokens = torch.arange(V, device=prefixes.device).repeat(N)
    fine = constraint(prefixes.repeat_interleave(V, 0), tokens).view(N, V)
    return probabilities * fine
