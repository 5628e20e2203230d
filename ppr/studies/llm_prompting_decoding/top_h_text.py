"""Words sampled hot, truncated in several ways: how likely they are, and how varied.

The model is a word trigram of the data set's training text (decoding/trigram.py; lower case, signs
are words). `samples` texts of `words` words are drawn from it at a temperature, p^(1/T)
renormalised, then truncated (decoding/truncation.py).

Metrics: `measured/log_prob`, nats a word under the model itself, T = 1 and nothing truncated;
`measured/distinct_3`, different triples of words over all; `measured/fall`, how much log_prob is
lower than at T = 1 with the same truncation.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from ppr.data.dataset import Split
from ppr.decoding.language import LanguageModel
from ppr.decoding.trigram import TrigramModel
from ppr.decoding.truncation import truncate
from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import BadRequest
from ppr.fields import Annotated, Count, Ge, Literal, NonNegative, Positive
from ppr.registry import component
from ppr.studies.study import Study


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+|[^a-z'\s]", text.lower())


def draw(
    model: LanguageModel,
    rule: Literal["none", "top_p", "min_p", "top_h", "released"],
    parameter: float,
    temperature: float,
    shape: tuple[int, int],
    random: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Texts [N, T] and the log-probability of each word under the model itself [N, T]."""
    texts = torch.zeros(shape[0], 0, dtype=torch.int64)
    logs = []
    for _ in range(shape[1]):
        p = model(texts)
        hot = p ** (1 / temperature)
        chosen = truncate(hot / hot.sum(1, keepdim=True), rule, parameter)
        word = chosen.multinomial(1, generator=random)
        logs.append(p.gather(1, word).log())
        texts = torch.cat([texts, word], dim=1)
    return texts, torch.cat(logs, dim=1)


def distinct(texts: Tensor, n: int = 3) -> float:
    """Different runs of n words, over how many there are."""
    runs = texts.unfold(1, n, 1).flatten(0, 1)
    return len(torch.unique(runs, dim=0)) / len(runs)


@component("task")
class TopHText(Study):
    """
    Raises:
        BadRequest: a data set that is not text, its classes characters.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        rule: Literal["none", "top_p", "min_p", "top_h", "released"] = "top_h",
        parameter: NonNegative = 0.4,
        temperature: Positive = 2.0,
        samples: Count = 12,
        words: Annotated[int, Ge(3)] = 40,
    ) -> None:
        super().__init__(bench)
        self.rule: Literal["none", "top_p", "min_p", "top_h", "released"] = rule
        self.parameter, self.temperature = parameter, temperature
        self.shape = samples, words

    def measure(self) -> dict[str, dict[str, float]]:
        model = self._model()
        found = {}
        for temperature in (1.0, self.temperature):
            random = generator(torch.device("cpu"), self.bench.seed, "words", temperature)
            found[temperature] = draw(
                model, self.rule, self.parameter, temperature, self.shape, random
            )
        texts, logs = found[self.temperature]
        plain = found[1.0][1].mean().item()
        measured = {
            "log_prob": logs.mean().item(),
            "distinct_3": distinct(texts),
            "fall": plain - logs.mean().item(),
        }
        return {"measured": measured}

    def _model(self) -> TrigramModel:
        data = self.bench.dataset
        if not isinstance(data.train, Split) or any(len(name) != 1 for name in data.classes):
            raise BadRequest(f"dataset {data.name!r}: must be a text, its classes characters")
        # Windows without overlap, one after another, are the text.
        text = "".join(data.classes[letter] for letter in data.train.inputs.flatten().tolist())
        words = words_of(text)
        known = {word: number for number, word in enumerate(sorted(set(words)))}
        return TrigramModel(torch.tensor([known[word] for word in words]), len(known))
