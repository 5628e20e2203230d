"""A word trigram model with Witten-Bell back-off: a real language model that needs no training.

Witten and Bell, 1991. With c counts and T(.) how many different words follow a context,

    p(w | u v) = (c(u v w) + T(u v) p(w | v)) / (c(u v) + T(u v))

p(w | v) in the same way from p(w), the share of w in the text. A context that was never seen leaves
the shorter one's law. Words are numbers 0..V-1; a prefix of fewer than two words has shorter
contexts.
"""

from __future__ import annotations

import torch
from torch import Tensor


class TrigramModel:
    """Of a text [L]; prefixes [N, T] -> probabilities of the next word [N, V], in float64."""

    def __init__(self, text: Tensor, vocabulary: int) -> None:
        self.unigram = torch.bincount(text, minlength=vocabulary).double() / len(text)
        self._bigrams = _followers(text[:-1], text[1:])
        self._trigrams = _followers(text[:-2] * vocabulary + text[1:-1], text[2:])
        self._vocabulary = vocabulary

    def __call__(self, prefixes: Tensor) -> Tensor:
        p = self.unigram.expand(len(prefixes), -1).clone()
        T = prefixes.shape[1]
        if T >= 1:
            self._sharpen(p, self._bigrams, prefixes[:, -1])
        if T >= 2:
            context = prefixes[:, -2] * self._vocabulary + prefixes[:, -1]
            self._sharpen(p, self._trigrams, context)
        return p

    def _sharpen(
        self, p: Tensor, table: dict[int, tuple[Tensor, Tensor]], contexts: Tensor
    ) -> None:
        """Turn each row's law into that of its longer context, in place."""
        for row, context in enumerate(contexts.tolist()):
            if context in table:
                words, counts = table[context]
                p[row] *= len(words)
                p[row, words] += counts
                p[row] /= counts.sum() + len(words)


def _followers(contexts: Tensor, words: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Of each context the words that follow it, and how often."""
    pairs, counts = torch.unique(torch.stack([contexts, words]), dim=1, return_counts=True)
    keys, sizes = torch.unique_consecutive(pairs[0], return_counts=True)
    parts = zip(pairs[1].split(sizes.tolist()), counts.double().split(sizes.tolist()), strict=True)
    return dict(zip(keys.tolist(), parts, strict=True))
