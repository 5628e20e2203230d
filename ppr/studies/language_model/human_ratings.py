"""Success rates of systems that change a sentence's style, from the single ratings of people.

Li et al., "Delete, Retrieve, Generate", arXiv:1804.06437; rules of evaluation/run_eval.py in
lijuncen/Sentiment-and-Style-Transfer. No model is run. A rater gave every output 1 to 5 for its
grammar, its new style and its content; it is a success where all three are above 3. Outputs of
several systems that are the same sentence were rated once and count for each.

Rated are the first 200 test sentences of each of two styles, in three `domain`s; of all, the mean
of the domains is taken. For intervals sentences are drawn `draws` times with replacement, all
systems' outputs of one together. The files' names of systems are mapped by what they hold, see
SYSTEMS.

Metrics: `rate/success`; `rate/grammaticality`, `rate/style` and `rate/content`, the shares above 3;
`interval/low` and `interval/high`, 95 % of the former; `gain/success`, `gain/low` and `gain/high`,
the same of its difference from another system (`over`), or from the best of the earlier systems,
of each domain (`best_earlier`) or on average over domains (`earlier`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Literal, Whole
from ppr.registry import component
from ppr.studies.published import PublishedStudy, Table

DOMAINS = ("yelp", "captions", "amazon")
SYSTEMS = {
    "delete_and_retrieve": "orgin",
    "delete_only": "label",
    "template": "rule_base",
    "retrieve": "retrieval",
    "cross_aligned": "mit",
    "style_embedding": "fader",
    "multi_decoder": "multi_decoder",
    "human": "human",
}
"""Our name of a system -> its files'. Captions call human sentences `target`."""
EARLIER = ("cross_aligned", "style_embedding", "multi_decoder")
QUESTIONS = {"grammaticality": "grammaticality", "style": "sentiment", "content": "topic"}
RATED = 200
"""Sentences of a style, from the first."""
PASS = 3

Array = NDArray[np.float64]


def passed(ratings: Table, outputs: Table, domain: str, system: str) -> Array:
    """Of each rated output: success, and whether each question's rating is above 3. [N, 1 + 3]

    Rows are in the order of label and sentence, alike for every system of a domain.

    Raises:
        KeyError: an output was not rated.
    """
    known = {}
    of = ratings["domain"] == domain
    columns = ["original", "target", "output", *QUESTIONS.values()]
    for original, target, output, *given in zip(*(ratings[c][of] for c in columns), strict=True):
        known[_key(original, target, output)] = [float(value > PASS) for value in given]
    name = "target" if (domain, system) == ("captions", "human") else SYSTEMS[system]
    at = (outputs["domain"] == domain) & (outputs["system"] == name) & (outputs["index"] < RATED)
    at = np.flatnonzero(at)
    at = at[np.lexsort((outputs["index"][at], outputs["label"][at]))]
    columns = ["original", "target", "output"]
    found = [known[_key(*one)] for one in zip(*(outputs[c][at] for c in columns), strict=True)]
    return np.array([[float(all(each)), *each] for each in found])


def _key(original: str, target: str, output: str) -> tuple[str, str, str]:
    return original.strip().lower(), target, output.strip().lower()


@component("task", needs="tables")
class HumanRatings(PublishedStudy):
    def __init__(
        self,
        bench: Bench,
        *,
        domain: Literal["yelp", "captions", "amazon", "all"] = "all",
        system: Literal[
            "delete_and_retrieve", "delete_only", "template", "retrieve", "cross_aligned",
            "style_embedding", "multi_decoder", "human",
        ] = "delete_and_retrieve",
        over: Literal["none", "delete_only", "template", "retrieve", "earlier", "best_earlier"] = (
            "none"
        ),
        draws: Whole = 0,
    ) -> None:  # fmt: skip
        super().__init__(bench)
        self.domains = DOMAINS if domain == "all" else (domain,)
        self.system, self.over, self.draws = system, over, draws

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "sentences"))
        own = self._passed(self.system)
        rows = [random.integers(len(one), size=(self.draws, len(one))) for one in own]
        rates = np.mean([one.mean(0) for one in own], axis=0)
        metrics = {"rate": dict(zip(("success", *QUESTIONS), map(float, rates), strict=True))}
        if self.draws:
            metrics["interval"] = _interval([one[:, 0] for one in own], rows)
        if self.over != "none":
            gains = [
                mine[:, 0] - other[:, 0] for mine, other in zip(own, self._other(), strict=True)
            ]
            gain = float(np.mean([each.mean() for each in gains]))
            metrics["gain"] = {"success": gain, **(_interval(gains, rows) if self.draws else {})}
        return metrics

    def _other(self) -> list[Array]:
        if self.over not in ("earlier", "best_earlier"):
            return self._passed(self.over)
        found = [self._passed(system) for system in EARLIER]
        rates = np.array([[one[:, 0].mean() for one in each] for each in found])  # [system, domain]
        if self.over == "earlier":
            return found[int(rates.mean(1).argmax())]
        return [found[best][at] for at, best in enumerate(rates.argmax(0))]

    def _passed(self, system: str) -> list[Array]:
        tables = self.table("ratings"), self.table("outputs")
        return [passed(*tables, domain, system) for domain in self.domains]

    def made(self) -> Mapping[str, Table]:
        """Four sentences a domain; system number k succeeds on those above k mod 4."""
        rows: list[dict[str, Any]] = []
        for domain in DOMAINS:
            for number, system in enumerate(SYSTEMS.values()):
                for index in range(4):
                    human = (domain, system) == ("captions", "human")
                    row: dict[str, Any] = {"domain": domain, "label": 0, "target": "positive"}
                    row |= {"system": "target" if human else system, "index": index}
                    row |= {"original": f"{index} ", "output": f"{system} {index}"}
                    given = 5 if index > number % 4 else 3
                    rows.append(row | {"grammaticality": 4, "sentiment": given, "topic": 5})
        table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return {"ratings": table, "outputs": table}


def _interval(values: list[Array], rows: list[NDArray[np.int64]]) -> dict[str, float]:
    """95 % of the mean over domains, of sentences that were drawn."""
    means = np.mean([one[at].mean(1) for one, at in zip(values, rows, strict=True)], axis=0)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}
