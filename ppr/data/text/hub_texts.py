"""Any labelled text set on the hub, as bags of words: how often each of the commonest words occurs.

For sets of sentences or short articles, in Parquet. Words are runs of two or more letters or digits
in lower case (scikit-learn's CountVectorizer); the `vocabulary` commonest of the training texts
count, and a text without any of them is left out. Without a file of test texts (`test: null`), a
share `held` of the training texts is the test split. Texts are shuffled with `split_seed`, as
published ones often stand sorted by label, and `limit` keeps the first of each split.

Inputs are float32 [N, vocabulary].
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.data import hub as place_of
from ppr.data.card import Card
from ppr.data.source import Source
from ppr.data.tables import read_parquet
from ppr.errors import BadRequest
from ppr.fields import Count, Fraction, Whole
from ppr.registry import component

if TYPE_CHECKING:
    import numpy as np

    from ppr.data.dataset import Dataset


@component("dataset", inputs="vector", targets="class")
class HubTexts(Source):
    """`hub` is the repository; `train`, `test` its Parquet files; `text`, `label` its columns."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        hub: str,
        classes: Count,
        train: str = "train.parquet",
        test: str | None = "test.parquet",
        text: str = "text",
        label: str = "label",
        vocabulary: Count = 1000,
        held: Fraction = 0.1,
        limit: Count | None = None,
        split_seed: Whole = 0,
    ) -> None:
        super().__init__(root, split_seed=split_seed, limit=limit)
        self.held = held
        files = {"train": train} if test is None else {"train": train, "test": test}
        self.card = Card(
            name=hub.rsplit("/", 1)[-1],
            shape=(vocabulary,),
            classes=tuple(str(number) for number in range(classes)),
            rows={},
            source=f"https://huggingface.co/datasets/{hub}",
            licence="see the source",
            hub=hub,
            files=files,
            columns={"input": text, "target": label},
        )

    def load(self) -> Dataset:
        import numpy as np
        import torch
        from sklearn.feature_extraction.text import CountVectorizer

        from ppr.data.dataset import Split, assemble

        place = place_of.locate(self.card, self.root)
        random = np.random.RandomState(self.split_seed)
        parts = {split: self._read(files, random) for split, files in place.files.items()}
        if "test" not in parts:
            texts, labels = parts["train"]
            cut = round(self.held * len(texts))
            parts = {"train": (texts[cut:], labels[cut:]), "test": (texts[:cut], labels[:cut])}
        words = CountVectorizer(max_features=self.card.shape[0], dtype=np.float32)
        words.fit(parts["train"][0][: self.limit])
        if len(words.vocabulary_) < self.card.shape[0]:
            raise BadRequest(
                f"dataset.vocabulary={self.card.shape[0]}: the training texts of {self.card.name} "
                f"have {len(words.vocabulary_)} words"
            )

        def split(part: str) -> Split:
            texts, labels = (column[: self.limit] for column in parts[part])
            counts = words.transform(texts).toarray()
            some = counts.any(axis=1)
            return Split(torch.from_numpy(counts[some]), torch.from_numpy(labels[some]))

        return assemble(self.card, split("train"), None, split("test"))

    def _read(self, files: list[Path], random: np.random.RandomState) -> tuple[Any, np.ndarray]:
        """Texts and their labels, shuffled."""
        import numpy as np

        columns = self.card.columns["input"], self.card.columns["target"]
        tables = [read_parquet(file, columns) for file in files]
        texts = [text for table in tables for text in table[columns[0]].to_pylist()]
        labels = np.concatenate([np.asarray(table[columns[1]]) for table in tables])
        order = random.permutation(len(texts))
        return [texts[row] for row in order], labels[order].astype(np.int64)
