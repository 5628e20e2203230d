"""Constrained texts of a small language model: how far what is sampled is from the true law.

A random bigram model of three characters and the end; texts of at most six characters that must end
in "11". Prefixes that can no longer end so are refused at once. The true law, p(text) / Z over the
texts that are allowed, and that of locally constrained decoding, which takes the allowed tokens at
each step for all there are, are sums over all texts. Samplers:

    local  locally constrained decoding, exactly
    mask   sequential Monte Carlo (decoding/smc.py), all tokens masked at each step
    awrs   the same with adaptive weighted rejection sampling (decoding/awrs.py)

Metrics: `measured/distance`, total variation of the sampler's law from the true one, for Monte
Carlo that of the mean over `runs` of its weighted particles; `measured/mass`, Z, models of a Z
below `least` being drawn anew.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.decoding.language import (
    END,
    BigramModel,
    LanguageModel,
    all_texts,
    allowed_mass,
    random_bigrams,
)
from ppr.decoding.smc import sample
from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, Fraction, Literal
from ppr.registry import component
from ppr.studies.study import Study

LENGTH = 6
VOCABULARY = 4
ENDING = 1
"""The character that a text must have twice at its end."""


def can_end_well(prefixes: Tensor, tokens: Tensor) -> Tensor:
    """Whether a prefix [N, T] and a token [N] can still be a text of LENGTH that ends in "11"."""
    T = prefixes.shape[1]
    padded = torch.nn.functional.pad(prefixes, (2, 0), value=-1)
    last, one_before = padded[:, -1] == ENDING, padded[:, -2] == ENDING
    ended = (prefixes == END).any(1)
    complete = last & one_before
    run = torch.where(tokens == ENDING, torch.where(last, 2, 1), 0)
    enough = T + 1 + (2 - run) <= LENGTH
    return torch.where(tokens == END, ended | complete, ~ended & enough)


def laws(model: LanguageModel, texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of texts [K, T]: the true law, that of locally constrained decoding, and Z."""
    whole = torch.ones(len(texts), dtype=torch.float64, device=texts.device)
    fine, local = whole.clone(), whole.clone()
    for t in range(texts.shape[1]):
        prefixes, tokens = texts[:, :t], texts[:, t : t + 1]
        mass = allowed_mass(model, can_end_well, prefixes)
        whole = whole * model(prefixes).gather(1, tokens)[:, 0]
        fine = fine * can_end_well(prefixes, tokens[:, 0])
        local = local * (mass / mass.sum(1, keepdim=True)).nan_to_num(0).gather(1, tokens)[:, 0]
    Z = (whole * fine).sum()
    return whole * fine / Z, local, Z


@component("task")
class AWRSSMC(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        sampler: Literal["local", "mask", "awrs"] = "awrs",
        particles: Count = 50,
        runs: Count = 400,
        least: Fraction = 0.05,
    ) -> None:
        super().__init__(bench)
        self.sampler, self.particles, self.runs = sampler, particles, runs
        self.least = least

    def measure(self) -> dict[str, dict[str, float]]:
        random = generator(self.bench.device, self.bench.seed, "model")
        texts = all_texts(VOCABULARY, LENGTH).to(self.bench.device)
        while True:
            model = random_bigrams(VOCABULARY, random)
            true, local, Z = laws(model, texts)
            if self.least <= Z:
                break
        law = local if self.sampler == "local" else self._sampled(model, texts)
        return {"measured": {"distance": (law - true).abs().sum().item() / 2, "mass": Z.item()}}

    def _sampled(self, model: BigramModel, texts: Tensor) -> Tensor:
        random = generator(self.bench.device, self.bench.seed, "particles")
        found, weights = sample(
            model,
            can_end_well,
            LENGTH + 1,
            "mask" if self.sampler == "mask" else "awrs",
            random,
            runs=self.runs,
            particles=self.particles,
        )
        places = VOCABULARY ** torch.arange(LENGTH + 1, device=texts.device)
        numbers, names = (found.flatten(0, 1) * places).sum(1), (texts * places).sum(1)
        total = torch.zeros(VOCABULARY ** (LENGTH + 1), dtype=torch.float64, device=texts.device)
        total.index_add_(0, numbers, weights.flatten())
        return total[names] / self.runs
