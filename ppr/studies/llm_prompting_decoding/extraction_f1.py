"""Attribute values that models extracted from product titles, scored again from their answers.

Brinkmann et al., "Product Attribute Value Extraction using Large Language Models",
arXiv:2310.12537; rules of pieutils/evaluation.py in wbsg-uni-mannheim/ExtractGPT. No model is run.
Of each attribute that is annotated for an offer:

    NN  neither annotated ("n/a") nor answered      VC  answered with an annotated value
    NV  answered, though none is annotated          VW  answered with another value
    VN  not answered, though one is annotated

    precision = VC / (NV + VC + VW)    recall = VC / (VN + VC + VW)    F1 their harmonic mean

An answer that is no JSON, lacks the attribute, or says "n/a" or "None" is none. Counts are summed
over attributes and offers (micro average). Systems: `gpt4`, with a JSON schema and ten
demonstrations out of the `train` offers (the small set is a fifth of the large);
`gpt4_ensemble`, a vote of such with shuffled demonstrations; `gpt35`, GPT-3.5 with a list of
attributes, whose training share is what was published; and `lookup`, which needs no model: the
first value of the attribute, in order of the training offers of its category, that occurs in the
title.

Metrics, fractions of 1, means over both sets where `data` is both: `micro/f1`, `micro/precision`,
`micro/recall`; `printed/f1`, what the run's own file states; `interval/low` and `interval/high`,
95 % of F1 over `draws` of the offers with replacement, if there are any; `test/offers`,
`test/pairs` (attributes annotated, n/a among them) and `test/values` (different by category,
attribute and value), sums.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Literal, Whole
from ppr.registry import component
from ppr.studies.published import PublishedStudy, Table

NONE = ("n/a", "None")
MODELS = {"gpt4": "gpt-4-0613", "gpt4_ensemble": "gpt-4-0613", "gpt35": "gpt-3.5-turbo-0613"}
SHARES = {"small": 0.2, "large": 1.0}
PARTS = {"small": "train_0.2", "large": "train"}
Values = Mapping[str, Sequence[str]]
"""An offer's annotated values, by attribute."""


class Counts(NamedTuple):
    """What became of attributes; the names are the published code's."""

    nn: int = 0
    nv: int = 0
    vn: int = 0
    vc: int = 0
    vw: int = 0


def answered(text: str | None) -> Mapping[str, Any]:
    """An answer's values by attribute; empty where it is no JSON object."""
    try:
        found = json.loads(text or "")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def judge(annotated: Values, answers: Mapping[str, Any]) -> Counts:
    """One offer's counts."""
    found = dict.fromkeys(Counts._fields, 0)
    for attribute, values in annotated.items():
        answer = answers.get(attribute)
        given = answer is not None and answer not in NONE
        if values[0] == "n/a":
            kind = "nv" if given else "nn"
        elif not given:
            kind = "vn"
        else:
            kind = "vc" if answer in [value.strip() for value in values] else "vw"
        found[kind] += 1
    return Counts(**found)


def scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision, recall and F1 of counts [..., 5], [..., 3]; 0 where nothing is right."""
    _, nv, vn, vc, vw = np.moveaxis(counts, -1, 0)
    precision = vc / np.maximum(nv + vc + vw, 1)
    recall = vc / np.maximum(vn + vc + vw, 1)
    f1 = 2 * vc / np.maximum(nv + vn + 2 * (vc + vw), 1)
    return np.stack([precision, recall, f1], -1)


def look_up(title: str, known: Values) -> dict[str, str]:
    """The first known value of each attribute that occurs in the title."""
    found = {}
    for attribute, values in known.items():
        inside = next((value for value in values if value in title), None)
        if inside is not None:
            found[attribute] = inside
    return found


def known_values(offers: Table) -> dict[str, dict[str, list[str]]]:
    """By category and attribute, in order of appearance, without n/a."""
    known: dict[str, dict[str, list[str]]] = {}
    for category, text in zip(offers["category"], offers["target_scores"], strict=True):
        for attribute, values in json.loads(text).items():
            kept = known.setdefault(category, {}).setdefault(attribute, [])
            kept += [value for value in values if value != "n/a" and value not in kept]
    return known


@component("task", needs="tables")
class ExtractionF1(PublishedStudy):
    def __init__(
        self,
        bench: Bench,
        *,
        data: Literal["oa-mine", "ae-110k", "both"] = "both",
        system: Literal["gpt4", "gpt4_ensemble", "gpt35", "lookup"] = "gpt4",
        train: Literal["small", "large"] = "large",
        draws: Whole = 0,
    ) -> None:
        super().__init__(bench)
        self.data = ("oa-mine", "ae-110k") if data == "both" else (data,)
        self.system, self.train, self.draws = system, train, draws

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "offers"))
        found, drawn, printed, sizes = [], [], [], []
        for data in self.data:
            offers = self.table(f"{data}/test")
            annotated = [json.loads(text) for text in offers["target_scores"]]
            sizes.append(_sizes(offers["category"], annotated))
            if self.system == "lookup":
                answers = self._looked_up(data, offers)
            else:
                run = self._run(data)
                answers, annotated = self._answers(run)
                printed.append(self._printed(run))
            every = [judge(*pair) for pair in zip(map(_lists, annotated), answers, strict=True)]
            counts = np.array(every)
            found.append(scores(counts.sum(0)))
            rows = random.integers(len(counts), size=(self.draws, len(counts)))
            drawn.append(scores(counts[rows].sum(1))[:, 2])
        precision, recall, f1 = np.mean(found, axis=0)
        count, pairs, values = np.sum(sizes, axis=0)
        metrics = {
            "micro": {"precision": float(precision), "recall": float(recall), "f1": float(f1)},
            "test": {"offers": float(count), "pairs": float(pairs), "values": float(values)},
        }
        if self.draws:
            low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
            metrics["interval"] = {"low": float(low), "high": float(high)}
        if printed:
            metrics["printed"] = {"f1": float(np.mean(printed))}
        return metrics

    def _looked_up(self, data: str, offers: Table) -> list[Mapping[str, Any]]:
        known = known_values(self.table(f"{data}/{PARTS[self.train]}"))
        pairs = zip(offers["input"], offers["category"], strict=True)
        return [look_up(title, known.get(category, {})) for title, category in pairs]

    def _run(self, data: str) -> str:
        """The name of the one run of this set, system and share."""
        runs = self.table("runs")
        at = (runs["dataset"] == data) & (runs["model"] == MODELS[self.system])
        if self.system != "gpt35":
            shuffled = np.array(["ensembling" in name for name in runs["run"]])
            at &= shuffled == (self.system == "gpt4_ensemble")
            at &= runs["train_percentage"] == SHARES[self.train]
        (name,) = runs["run"][at]
        return str(name)

    def _answers(self, run: str) -> tuple[list[Mapping[str, Any]], list[Any]]:
        outputs = self.table("outputs")
        at = outputs["run"] == run
        annotated = [json.loads(text) for text in outputs["target_scores"][at]]
        return [answered(text) for text in outputs["post_pred"][at]], annotated

    def _printed(self, run: str) -> float:
        runs = self.table("runs")
        return float(runs["micro_f1"][runs["run"] == run][0]) / 100

    def made(self) -> Mapping[str, Table]:
        """Two offers, of which every model gets three values of four right."""
        offers = {
            "input": _objects(["Red Acme shoe 7", "Blue Acme shoe"]),
            "category": _objects(["Shoe", "Shoe"]),
            "target_scores": _objects(
                ['{"Brand": {"Acme": 1}, "Color": {"Red": 1}}',
                 '{"Brand": {"Acme": 1}, "Color": {"Blue": 1}, "Size": {"n/a": 1}}']
            ),
        }  # fmt: skip
        pred = ['{"Brand": "Acme", "Color": "Red"}', '{"Brand": "Acme", "Color": "Acme"}']
        runs = [
            (f"{data} {system} {train}", data, MODELS[system], train)
            for data in ("oa-mine", "ae-110k")
            for system, train in (("gpt35", 1.0), ("gpt4", 1.0), ("gpt4", 0.2))
        ]
        runs += [(f"{run} ensembling", *rest) for run, *rest in runs if "gpt4" in run]  # type: ignore[misc]
        names = ("run", "dataset", "model", "train_percentage")
        table = {name: np.array([run[at] for run in runs]) for at, name in enumerate(names)}
        table["micro_f1"] = np.full(len(runs), 75.0)
        outputs = {name: np.tile(values, len(runs)) for name, values in offers.items()}
        outputs["run"] = np.repeat(table["run"], 2)
        outputs["post_pred"] = np.tile(_objects(pred), len(runs))
        parts = ("test", "train", "train_0.2")
        sets = {f"{data}/{part}": offers for data in ("oa-mine", "ae-110k") for part in parts}
        return {"runs": table, "outputs": outputs, **sets}


def _objects(values: Sequence[str]) -> NDArray[np.object_]:
    return np.array(values, dtype=object)


def _lists(annotated: Mapping[str, Mapping[str, int]]) -> Values:
    return {attribute: list(values) for attribute, values in annotated.items()}


def _sizes(categories: Sequence[str], annotated: Sequence[Values]) -> tuple[int, int, int]:
    different = {
        (category, attribute, value)
        for category, values in zip(categories, annotated, strict=True)
        for attribute, some in values.items()
        for value in some
        if value != "n/a"
    }
    return len(annotated), sum(map(len, annotated)), len(different)
