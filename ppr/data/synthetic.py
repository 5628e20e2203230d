"""Random data in the place of a data set, for smoke runs and for machines that do not have it."""

from __future__ import annotations

from ppr.data.card import Card
from ppr.data.dataset import Dataset, Split, assemble


def synthetic(card: Card, n: int, *, validation: bool = False, seed: int = 0) -> Dataset:
    """`n` random examples a split, with the card's shape and classes; reads nothing.

    Images are uniform uint8, other inputs standard normal float32. The classes are as equal in
    number as `n` allows, so that what samples or scores by class finds each of them.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)

    def split() -> Split:
        shape = (n, *card.shape)
        if len(card.shape) == 3:
            inputs = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        else:
            inputs = torch.randn(shape, generator=generator)
        targets = torch.arange(n) % len(card.classes)
        return Split(inputs, targets[torch.randperm(n, generator=generator)])

    train, test = split(), split()
    held = split() if validation else None
    return assemble(card, train, held, test, {"synthetic": True})
