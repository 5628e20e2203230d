"""The base of sets whose points are drawn, with their classes, when they are asked for.

Training, validation and test points are drawn apart; what is drawn follows from `split_seed`.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.hub import Place
from ppr.data.source import Source

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset, Split


class Drawn(Source):
    """`validation` points, and as many for training and test as the card has rows."""

    @abstractmethod
    def draw(self, count: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Points [count, D] and their classes [count]."""

    def find(self) -> Place:
        return Place("drawn", Path(__file__).parent, {})

    def load(self) -> Dataset:
        from ppr.data.dataset import assemble

        train, test = (self._split(n, self.card.rows[n]) for n in ("train", "test"))
        held = self._split("validation", self.validation) if self.validation else None
        return assemble(self.card, train, held, test)

    def _split(self, part: str, count: int) -> Split:
        import numpy as np
        import torch

        from ppr.data.dataset import Split

        purpose = ("train", "validation", "test").index(part)
        stream = np.random.SeedSequence((self.split_seed, purpose))
        points, classes = self.draw(count, np.random.RandomState(np.random.MT19937(stream)))
        return Split(torch.from_numpy(points).float(), torch.from_numpy(classes).long())
