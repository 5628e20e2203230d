"""Products: strings "34*07=0238" of two numbers below 100 and their product, for language models.

Tokens are the characters of ALPHABET, so that a digit's token is its value. The network reads all
but the last character and predicts all but the first; the positions that count (`extra["mask"]`)
are the four digits of the answer. The 10,000 strings are shuffled with `split_seed`; test,
validation and training splits are different ones (a*b in one may be b*a in another).

Made here, nothing is read. Raises BadRequest for more strings than there are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ppr.data.card import Card
from ppr.data.hub import Place
from ppr.data.source import Source
from ppr.errors import BadRequest
from ppr.fields import Count, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from ppr.data.dataset import Dataset

ALPHABET = "0123456789*="
BELOW = 100
ANSWER = 4


@component("dataset", inputs="tokens", targets="positions")
class Products(Source):
    card = Card(
        name="products",
        shape=(len("ab*cd=efgh") - 1,),
        classes=tuple(ALPHABET),
        rows={},
        source="computed",
        licence="none needed",
    )

    def __init__(
        self,
        root: Path | None = None,
        *,
        train: Count = 3000,
        validation: Whole = 1000,
        test: Count = 2000,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, validation=validation, split_seed=split_seed)
        self.sizes = {"train": train, "validation": validation, "test": test}
        if sum(self.sizes.values()) > BELOW**2:
            asked = " + ".join(map(str, self.sizes.values()))
            raise BadRequest(f"dataset.train={train}: {asked} strings; there are {BELOW**2}")

    def find(self) -> Place:
        return Place("computed", Path(__file__).parent, {})

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        """`n` of the strings themselves in each split, as they need no data."""
        held = n if self.validation else 0
        made = Products(train=n, validation=held, test=n, split_seed=seed).load()
        return replace(made, extra={"synthetic": True})

    def load(self) -> Dataset:
        import numpy as np
        import torch

        from ppr.data.dataset import Split, assemble

        lines = [f"{a:02}*{b:02}={a * b:04}" for a in range(BELOW) for b in range(BELOW)]
        tokens = torch.tensor([[ALPHABET.index(letter) for letter in line] for line in lines])
        order = torch.from_numpy(np.random.RandomState(self.split_seed).permutation(len(lines)))
        ends = np.cumsum([0, *self.sizes.values()])

        def take(number: int) -> Split:
            texts = tokens[order[ends[number] : ends[number + 1]]]
            mask = torch.zeros(len(texts), *self.card.shape, dtype=torch.bool)
            mask[:, -ANSWER:] = True
            return Split(texts[:, :-1], texts[:, 1:], {"mask": mask})

        train, held, test = map(take, range(3))
        return assemble(self.card, train, held if self.validation else None, test)
