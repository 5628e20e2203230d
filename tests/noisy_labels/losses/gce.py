"""The loss `gce` by its equation."""

from __future__ import annotations

from collections.abc import Sequence

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"q": 1.0}, {"q": 0.1})


def reference(logits: Rows, target: Sequence[int], *, q: float = 0.7) -> float:
    """arXiv:1805.07836, the L_q loss."""
    terms = [(1 - softmax(x)[t] ** q) / q for x, t in zip(logits, target, strict=True)]
    return sum(terms) / max(1, len(terms))
