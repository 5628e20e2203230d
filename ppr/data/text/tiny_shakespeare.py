"""Tiny Shakespeare: 1.1 million characters of plays, for character language models.

Karpathy's data/tinyshakespeare/input.txt (github.com/karpathy/char-rnn) in the split of
https://huggingface.co/datasets/karpathy/tiny_shakespeare: 90 %, 5 % and 5 % of the characters.

A sample is a window of `context` + 1 characters: the network reads all but the last and predicts
all but the first. Windows follow one another in the text; `train`, `validation` and `test` are how
many, the first ones of each published part. A token is a character's place among the sorted
characters of the whole text.

`canaries` windows of the test part, the ones before those of the test split, are put into the
training split `repeats` times each, to see whether they are learnt by heart; they are also the data
set's `extra["canaries"]`, [canaries, context + 1].
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub
from ppr.data.card import Card
from ppr.data.source import Source
from ppr.data.tables import read_parquet
from ppr.errors import BadRequest
from ppr.fields import Count, Whole
from ppr.registry import component

if TYPE_CHECKING:
    from torch import Tensor

    from ppr.data.dataset import Dataset

CHARACTERS = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PARTS = ("train", "validation", "test")


@component("dataset", inputs="tokens", targets="positions")
class TinyShakespeare(Source):
    card = Card(
        name="tiny_shakespeare",
        shape=(96,),
        classes=tuple(CHARACTERS),
        rows={"train": 1, "validation": 1, "test": 1},
        source="https://huggingface.co/datasets/karpathy/tiny_shakespeare",
        licence="public domain",
        hub="karpathy/tiny_shakespeare",
        files={part: f"data/{part}-*.parquet" for part in PARTS},
        columns={"input": "text"},
    )

    def __init__(
        self,
        root: Path | None = None,
        *,
        context: Count = 96,
        train: Count = 2000,
        validation: Whole = 128,
        test: Count = 256,
        canaries: Whole = 0,
        repeats: Count = 1,
    ) -> None:
        super().__init__(root, validation=validation)
        self.counts = {"train": train, "validation": validation, "test": test + canaries}
        self.canaries = canaries
        self.repeats = repeats
        self.card = replace(self.card, shape=(context,))

    def synthetic(self, n: int, seed: int = 0) -> Dataset:
        from ppr.data.synthetic import synthetic

        held, vocabulary, positions = self.validation > 0, len(CHARACTERS), self.card.shape
        made = synthetic(
            self.card, n, validation=held, seed=seed, vocabulary=vocabulary, positions=positions
        )
        return replace(made, extra={**made.extra, "canaries": _joined(made.train)[:1]})

    def load(self) -> Dataset:
        from torch import cat

        from ppr.data.dataset import Split, assemble

        place = hub.locate(self.card, self.root)
        parts = {part: self._windows(part, place.files[part][0]) for part in PARTS}
        canaries, test = parts["test"].tensor_split([self.canaries])
        train = cat([parts["train"], canaries.repeat(self.repeats, 1)])
        splits = {
            name: Split(windows[:, :-1], windows[:, 1:]) if len(windows) else None
            for name, windows in (("train", train), ("validation", parts["validation"]))
        }
        assert splits["train"] is not None
        last = Split(test[:, :-1], test[:, 1:])
        extra = {"canaries": canaries}
        return assemble(self.card, splits["train"], splits["validation"], last, extra)

    def _windows(self, part: str, file: Path) -> Tensor:
        """The first windows of a part as tokens, int64 [count, context + 1]."""
        import torch

        text: str = read_parquet(file, ["text"])["text"][0].as_py()
        context, count = self.card.shape[0], self.counts[part]
        have = (len(text) - 1) // context
        if count > have:
            raise BadRequest(
                f"dataset.{part}={count}: there are {have} windows of {context + 1} characters"
                + (", with the canaries" if part == "test" else "")
            )
        known = {letter: number for number, letter in enumerate(CHARACTERS)}
        tokens = torch.tensor([known[letter] for letter in text[: count * context + 1]])
        return tokens.unfold(0, context + 1, context) if count else tokens.new_empty(0, context + 1)


def _joined(split: Any) -> Tensor:
    """The windows of a split, its inputs with the last target."""
    from torch import cat

    joined: Tensor = cat([split.inputs, split.targets[:, -1:]], dim=1)
    return joined
