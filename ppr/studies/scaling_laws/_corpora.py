"""Published runs of loss-to-loss prediction, as its studies read them (dataset=loss_to_loss)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ppr.engine.seeding import derive
from ppr.scaling.fit import Array
from ppr.scaling.loss_to_loss import SizeLaw, fit_size_law
from ppr.studies.published import PublishedStudy, Table

CORPORA = {
    "fineweb": "fineweb-100b",
    "fineweb_edu": "fineweb-edu-100b",
    "proofpile": "proof-pile-2",
    "slimpajama": "slimpajama-chunk1",
    "smollm": "smollm-corpus",
    "starcoder": "starcoder",
}
TESTS = {
    "hellaswag": "hellaswag",
    "arc_easy": "arc_easy",
    "mmlu_humanities": "mmlu_humanities",
    "mmlu_stem": "mmlu_stem",
}
Rows = NDArray[np.intp]

TRAIN = "val_loss"
"""The loss on the corpus that a model was trained on."""


def column(loss: str) -> str:
    return loss if loss == TRAIN else f"eval/downstream_ce_loss/{TESTS[loss]}_test_ce_loss"


@dataclass(frozen=True)
class Runs:
    """Runs of one corpus: sizes [R, 2], their compute [R], tokens a parameter, losses by name."""

    table: Table
    rows: Rows

    @cached_property
    def sizes(self) -> Array:
        return np.stack([self.of("params"), self.of("tokens")], axis=1)

    def of(self, name: str) -> Array:
        return np.asarray(self.table[name][self.rows].astype(np.float64))

    def losses(self, loss: str) -> Array:
        return self.of(column(loss))

    def optimal(self) -> Runs:
        """Those of about 20 tokens a parameter; of two of one compute, the one of fewer layers."""
        ratio = self.of("data_ratio")
        kept = (ratio > 16) & (ratio < 23) & (self.of("n_layers") != 20)
        return Runs(self.table, self.rows[kept])

    def law(self, loss: str) -> SizeLaw:
        losses = self.losses(loss)
        known = ~np.isnan(losses)
        return fit_size_law(self.sizes[known], losses[known])


def paired(first: Runs, second: Runs) -> tuple[Rows, Rows]:
    """Rows of runs of as many tokens. [P], [P]"""
    same = first.of("tokens")[:, None] == second.of("tokens")
    a, b = np.nonzero(same)
    return a, b


class CorpusStudy(PublishedStudy):
    def runs(self, corpus: str, table: str = "sweep") -> Runs:
        found = self.table(table)
        return Runs(found, np.flatnonzero(found["data"] == CORPORA[corpus]))

    def made(self) -> Mapping[str, Table]:
        """Exact runs of MADE, and of powers of it on other corpora."""
        random = np.random.default_rng(derive(self.bench.seed, "made"))
        n = np.exp(random.uniform(np.log(2e7), np.log(2e9), 30))
        tokens = n * np.exp(random.uniform(np.log(4.0), np.log(100.0), 30))
        tokens[:12], layers = 20 * n[:12], np.full(30, 12)
        made = {"sweep": (n, tokens), "extrapolation": (np.array([3.3e9]), np.array([6.6e10]))}
        tables = {}
        for name, (params, data) in made.items():
            columns: dict[str, list[Array]] = {}
            for number, corpus in enumerate(CORPORA.values()):
                sizes = np.stack([params, data], axis=1)
                values = {
                    "params": params, "tokens": data, "iso_flop": 6 * params * data,
                    "data_ratio": data / params, "n_layers": layers[: len(params)],
                    TRAIN: made_law(number)(sizes),
                } | {column(test): made_law(number + 3)(sizes) for test in TESTS}  # fmt: skip
                values["data"] = np.full(len(params), corpus, dtype=object)
                for key, value in values.items():
                    columns.setdefault(key, []).append(value)
            tables[name] = {key: np.concatenate(parts) for key, parts in columns.items()}
        return tables


MADE = SizeLaw(A=6.7e7, B=9e8, E=2.0, alpha=0.41, beta=0.46)


def made_law(number: int) -> SizeLaw:
    """MADE's losses less its E to a power, times a factor, on one corpus or test."""
    power, factor, least = made_power(number)
    a, b = (factor ** (1 / (power * e)) for e in (MADE.alpha, MADE.beta))
    return SizeLaw(MADE.A * a, MADE.B * b, least, MADE.alpha * power, MADE.beta * power)


def made_power(number: int) -> tuple[float, float, float]:
    return 0.9 + 0.04 * number, 0.8 + 0.06 * number, 1.5 + 0.1 * number
