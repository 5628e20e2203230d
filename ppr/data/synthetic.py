"""Random data in the place of a data set, for smoke runs and for machines that do not have it."""

from __future__ import annotations

from ppr.data.card import Card
from ppr.data.dataset import Dataset, Split, assemble


def synthetic(
    card: Card,
    n: int,
    *,
    validation: bool = False,
    seed: int = 0,
    vocabulary: int | None = None,
    positions: tuple[int, ...] = (),
) -> Dataset:
    """`n` random examples a split, with the card's shape and classes; reads nothing.

    Images are uniform uint8, other inputs standard normal float32, or tokens below `vocabulary`. A
    target is one class, or one at each of `positions` (the shape of a mask, a text's length). The
    classes are as equal in number as `n` allows, so that what samples or scores by class finds each
    of them.
    """
    import math

    import torch

    generator = torch.Generator().manual_seed(seed)

    def split() -> Split:
        shape = (n, *card.shape)
        if len(card.shape) == 3:
            inputs = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        elif vocabulary is not None:
            inputs = torch.randint(0, vocabulary, shape, generator=generator)
        else:
            inputs = torch.randn(shape, generator=generator)
        targets = torch.arange(n * math.prod(positions)) % len(card.classes)
        shuffled = targets[torch.randperm(len(targets), generator=generator)]
        return Split(inputs, shuffled.view(n, *positions))

    train, test = split(), split()
    held = split() if validation else None
    return assemble(card, train, held, test, {"synthetic": True})
