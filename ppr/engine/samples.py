"""What an evaluator shows of each sample, for those who ask that it be kept (`keep=true`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

from ppr.results.predictions import Predictions

_shown: ContextVar[list[Predictions] | None] = ContextVar("shown", default=None)


@contextmanager
def shown_samples(wanted: bool) -> Iterator[list[Predictions]]:
    """Collects what `show_samples` is given inside, if it is wanted."""
    found: list[Predictions] = []
    token = _shown.set(found if wanted else None)
    try:
        yield found
    finally:
        _shown.reset(token)


def show_samples(scores: Tensor, target: Tensor, above: Tensor, equal: Tensor) -> None:
    """Show each sample's class by its scores [N, C], and how many scored above or as its own [N].

    It changes nothing, so it is no part of a component's digest (ppr/config/syntax.py).
    """
    found = _shown.get()
    if found is None:
        return
    right = (1 - above).clamp(min=0) / equal.double()
    columns = (target, scores.argmax(1), right)
    found.append(Predictions(*(column.detach().cpu().numpy() for column in columns)))
